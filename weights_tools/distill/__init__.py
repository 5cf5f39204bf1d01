"""The network that ships inside the package, distilled from VGG-19 with the package's own engine.

`pictures` draws what it learns from, `prune` finds a first network in closed form, `match` is the loss and its
gradient, `train` descends it, `evaluate` paints and asks the real VGG-19. ``python -m weights_tools.distill`` runs all.
"""
