"""Part IV, finding the picture: the objective's value and gradient, and the optimizers that minimize it."""
