"""The engine of a processor: fused stages, Winograd's convolution, threads."""
