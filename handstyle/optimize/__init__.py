"""Part IV, finding the picture: one number, one vector, and the methods that descend."""
