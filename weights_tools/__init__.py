"""Tools for weight files: readers of the published formats, conversion, registry, download, self-test, training."""
