// Total variation of a picture (H, W, C): the sum of squared differences of neighbors, and its gradient times `scale`.
#include "sum.cuh"

// First rung: one thread for each value, which writes its term of the sum for a second pass to add.
extern "C" __global__ void variation_naive(
    const REAL* p, REAL* dp, double* energy, int H, int W, int C, REAL scale) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x, row = (size_t)W * C;
    if (at >= H * row) return;
    int h = at / row, w = at % row / C;
    REAL here = p[at], sum = 0;
    double squares = 0;
    if (h > 0) sum += here - p[at - row];
    if (w > 0) sum += here - p[at - C];
    if (h + 1 < H) {
        REAL d = p[at + row] - here;
        sum -= d;
        squares += (double)d * d;
    }
    if (w + 1 < W) {
        REAL d = p[at + C] - here;
        sum -= d;
        squares += (double)d * d;
    }
    dp[at] = scale * sum;
    energy[at] = squares;
}

// Second rung: a block of 32 x 8 values with its neighbors in shared memory, and one partial sum for each block.
#define WIDE 32
#define HIGH 8
#define REACH 4  // channels at most
extern "C" __global__ void variation(const REAL* p, REAL* dp, double* energy, int H, int W, int C, REAL scale) {
    __shared__ REAL patch[HIGH + 2][WIDE + 2 * REACH];
    int row = W * C, top = blockIdx.y * HIGH, left = blockIdx.x * WIDE;
    int thread = threadIdx.y * WIDE + threadIdx.x;
    for (int q = thread; q < (HIGH + 2) * (WIDE + 2 * REACH); q += WIDE * HIGH) {
        int h = top + q / (WIDE + 2 * REACH) - 1, w = left + q % (WIDE + 2 * REACH) - REACH;
        // Beyond an edge the edge itself is read, so that the difference there is zero.
        h = min(max(h, 0), H - 1);
        w = w < 0 ? w + C : w >= row ? w - C : w;
        patch[q / (WIDE + 2 * REACH)][q % (WIDE + 2 * REACH)] = w >= 0 && w < row ? p[(size_t)h * row + w] : 0;
    }
    __syncthreads();
    int h = top + threadIdx.y, w = left + threadIdx.x, i = threadIdx.y + 1, j = threadIdx.x + REACH;
    double squares = 0;
    if (h < H && w < row) {
        REAL here = patch[i][j], down = patch[i + 1][j] - here, across = patch[i][j + C] - here;
        REAL sum = (here - patch[i - 1][j]) + (here - patch[i][j - C]) - down - across;
        dp[(size_t)h * row + w] = scale * sum;
        squares = (double)down * down + (double)across * across;
    }
    squares = block_sum(squares, thread);
    if (thread == 0) energy[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = squares;
}
