"""The engine of a GPU: CUDA kernels compiled by NVRTC, products by cuBLAS."""
