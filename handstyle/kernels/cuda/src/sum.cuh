// Return the sum over the 256 threads of a block, in float64, by a tree; only thread 0 receives it.
#define BLOCK 256

__device__ __forceinline__ double block_sum(double x, int thread) {
    __shared__ double part[BLOCK];
    part[thread] = x;
    for (int step = BLOCK / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread < step) part[thread] += part[thread + step];
    }
    return part[0];
}
