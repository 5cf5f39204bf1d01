"""Tools for weights: one reader a published format, conversion, the registry, download, comparison, training."""
