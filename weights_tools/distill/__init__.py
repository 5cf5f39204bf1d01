"""The network that ships inside the package, distilled from VGG-19 with the package's own engine.

`pictures` makes the training pictures, `prune` a first network in closed form, `match` has the loss and its gradient,
`train` minimizes it, `evaluate` compares with the real VGG-19. ``python -m weights_tools.distill`` runs all of them.
"""
