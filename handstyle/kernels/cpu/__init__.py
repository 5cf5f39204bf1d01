"""The engine for CPUs: fused stages, Winograd's convolution, threads."""
