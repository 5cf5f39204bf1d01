"""Part II, the network by hand: one readable pair, forward and backward, for each layer of VGG."""
