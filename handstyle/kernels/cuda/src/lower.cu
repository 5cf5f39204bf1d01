// Lowering: the input laid out so that a convolution becomes a product of matrices. `Ho`, `Wo` are the sizes of the output,
// y[h, w] = sum_ij x[h + i - offset, w + j - offset] w[i, j].
#include "source.cuh"

// im2col, first rung: one thread for each output pixel writes its 9 C inputs; neighbors write far apart.
extern "C" __global__ void im2col_naive(Source s, REAL* A, int row, int rows, int Wo, int offset) {
    size_t pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (size_t)rows * Wo) return;
    int h = row + pixel / Wo - offset, w = (int)(pixel % Wo) - offset;
    for (int tap = 0; tap < 9; tap++)
        for (int c = 0; c < s.C; c++) A[(pixel * 9 + tap) * s.C + c] = read(s, h + tap / 3, w + tap % 3, c);
}

// Second rung: neighboring threads have neighboring channels, but each needs four 64-bit divisions for its indices.
extern "C" __global__ void im2col_coalesced(Source s, REAL* A, int row, int rows, int Wo, int offset) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)rows * Wo * 9 * s.C) return;
    size_t pixel = at / s.C / 9;
    int c = at % s.C, tap = at / s.C % 9;
    A[at] = read(s, row + (int)(pixel / Wo) + tap / 3 - offset, (int)(pixel % Wo) + tap % 3 - offset, c);
}

// Third rung: channel and pixel follow from the block's shape, and one division serves nine values.
extern "C" __global__ void im2col(Source s, REAL* A, int row, int rows, int Wo, int offset) {
    int c = blockIdx.y * 32 + threadIdx.x, pixel = blockIdx.x * blockDim.y + threadIdx.y;
    if (c >= s.C || pixel >= rows * Wo) return;
    int top = row + pixel / Wo - offset, left = pixel % Wo - offset;
    REAL* out = A + (size_t)pixel * 9 * s.C + c;
#pragma unroll
    for (int tap = 0; tap < 9; tap++) out[tap * s.C] = read(s, top + tap / 3, left + tap % 3, c);
}

// Lowered in width only (Cho and Brand 2017, MEC, arXiv 1706.06873): L is (Wo, rows + 2, 3 C), a third of im2col's memory,
// and the 9 C inputs of an output pixel are still contiguous.
extern "C" __global__ void mec(Source s, REAL* L, int row, int rows, int Wo, int offset) {
    int c = blockIdx.y * 32 + threadIdx.x, pair = blockIdx.x * blockDim.y + threadIdx.y;
    if (c >= s.C || pair >= Wo * (rows + 2)) return;
    int h = at_border(row + pair % (rows + 2) - offset, s.H, s.border), left = pair / (rows + 2) - offset;
    REAL* out = L + (size_t)pair * 3 * s.C + c;
#pragma unroll
    for (int j = 0; j < 3; j++) out[j * s.C] = value_at(s, h, at_border(left + j, s.W, s.border), c);
}
