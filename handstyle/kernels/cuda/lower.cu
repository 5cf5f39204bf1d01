// Lowering: the input laid out so that a convolution becomes a product of matrices. `Ho`, `Wo` are the sizes of the output,
// y[h, w] = sum_ij x[h + i - offset, w + j - offset] w[i, j].
#include "source.cuh"

// im2col, first rung: one thread for each output pixel writes its 9 C inputs; neighbours write far apart.
extern "C" __global__ void im2col_naive(Source s, REAL* A, int row, int rows, int Wo, int offset) {
    size_t pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (size_t)rows * Wo) return;
    int h = row + pixel / Wo - offset, w = (int)(pixel % Wo) - offset;
    for (int tap = 0; tap < 9; tap++)
        for (int c = 0; c < s.C; c++) A[(pixel * 9 + tap) * s.C + c] = read(s, h + tap / 3, w + tap % 3, c);
}

// im2col, second rung: neighbouring threads have neighbouring channels.
extern "C" __global__ void im2col(Source s, REAL* A, int row, int rows, int Wo, int offset) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)rows * Wo * 9 * s.C) return;
    size_t pixel = at / s.C / 9;
    int c = at % s.C, tap = at / s.C % 9;
    A[at] = read(s, row + (int)(pixel / Wo) + tap / 3 - offset, (int)(pixel % Wo) + tap % 3 - offset, c);
}

// Lowered in width only (Cho and Brand 2017, MEC, arXiv 1706.06873): L is (Wo, rows + 2, 3 C), a third of im2col's memory,
// and the 9 C inputs of an output pixel still lie together.
extern "C" __global__ void mec(Source s, REAL* L, int row, int rows, int Wo, int offset) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)Wo * (rows + 2) * 3 * s.C) return;
    int c = at % s.C, j = at / s.C % 3, r = at / s.C / 3 % (rows + 2), w = at / s.C / 3 / (rows + 2);
    L[at] = read(s, row + r - offset, w + j - offset, c);
}
