"""The engine for GPUs: CUDA kernels compiled by NVRTC, products by cuBLAS."""
