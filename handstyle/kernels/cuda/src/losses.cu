// Losses at the taps. Each thread block writes a partial sum of the value, in float64, and `total` adds the partial sums.
#include "sum.cuh"

// First rung of content: one thread for each value, which writes it for a second pass to add. q weights pixels, or is null.
extern "C" __global__ void content_naive(
    const REAL* f, const REAL* target, const REAL* q, REAL* df, double* energy, int C, REAL factor, size_t size) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    REAL d = f[at] - target[at], weighted = q ? q[at / C] * d : d;
    df[at] = factor * weighted;
    energy[at] = (double)d * weighted;
}

// Second rung: each thread takes values at a stride (a grid-stride loop), and a block writes one partial sum.
extern "C" __global__ void content(
    const REAL* f, const REAL* target, const REAL* q, REAL* df, double* energy, int C, REAL factor, size_t size) {
    double sum = 0;
    for (size_t at = (size_t)blockIdx.x * BLOCK + threadIdx.x; at < size; at += (size_t)gridDim.x * BLOCK) {
        REAL d = f[at] - target[at], weighted = q ? q[at / C] * d : d;
        df[at] = factor * weighted;
        sum += (double)d * weighted;
    }
    sum = block_sum(sum, threadIdx.x);
    if (threadIdx.x == 0) energy[blockIdx.x] = sum;
}

// A Gram matrix comes in `strips` parts (strips, C, C). d = G / count - target, both means over pixels.
__device__ __forceinline__ double difference(
    const REAL* parts, const double* target, int strips, int C, double per_pixel, int i, int j) {
    double sum = 0;
    for (int s = 0; s < strips; s++) sum += parts[((size_t)s * C + i) * C + j];
    return sum * per_pixel - target[(size_t)i * C + j];
}

// First rung of style: one thread for each row.
extern "C" __global__ void style_naive(
    const REAL* parts, const double* target, REAL* dG, double* energy, int strips, int C, double per_pixel, double factor) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= C) return;
    double sum = 0;
    for (int j = 0; j < C; j++) {
        double d = difference(parts, target, strips, C, per_pixel, i, j);
        dG[(size_t)i * C + j] = factor * (d + difference(parts, target, strips, C, per_pixel, j, i));
        sum += d * d;
    }
    energy[i] = sum;
}

// Second rung: one thread for each pair of channels. The product f f^T depends on f twice, so the gradient is the sum of
// the gradient at the product and its transpose.
extern "C" __global__ void style(
    const REAL* parts, const double* target, REAL* dG, double* energy, int strips, int C, double per_pixel, double factor) {
    int i = blockIdx.y * 16 + threadIdx.y, j = blockIdx.x * 16 + threadIdx.x;
    double d = 0;
    if (i < C && j < C) {
        d = difference(parts, target, strips, C, per_pixel, i, j);
        dG[(size_t)i * C + j] = factor * (d + difference(parts, target, strips, C, per_pixel, j, i));
    }
    double sum = block_sum(d * d, threadIdx.y * 16 + threadIdx.x);
    if (threadIdx.x + threadIdx.y == 0) energy[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// First rung: one thread adds everything up.
extern "C" __global__ void total_naive(const double* shares, double* value, int n, double scale) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += shares[i];
    *value = scale * sum;
}

// Second rung: one block.
extern "C" __global__ void total(const double* shares, double* value, int n, double scale) {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += BLOCK) sum += shares[i];
    sum = block_sum(sum, threadIdx.x);
    if (threadIdx.x == 0) *value = scale * sum;
}
