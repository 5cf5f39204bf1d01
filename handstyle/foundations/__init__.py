"""Part I, before the network: arrays, pictures, derivatives that can be trusted."""
