// First rungs of max pooling: a byte for each code, and the adjoint by scattering. Sides are even; the kernels in use are
// `apply_epilogue` (forward) and `read` (backward).
#include "source.cuh"

// One thread for each pooled pixel loops over the channels: neighboring threads read far apart.
extern "C" __global__ void max_pool_naive(const REAL* x, REAL* y, unsigned char* codes, int H, int W, int C) {
    int h = H / 2, w = W / 2, pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= h * w) return;
    for (int c = 0; c < C; c++) {
        REAL best = 0;
        int code = 0;
        for (int q = 0; q < 4; q++) {
            int i = pixel / w * 2 + q / 2, j = pixel % w * 2 + q % 2;
            REAL a = x[((size_t)i * W + j) * C + c];
            if (q == 0 || a > best) {
                best = a;
                code = q;
            }
        }
        y[(size_t)pixel * C + c] = best;
        codes[(size_t)pixel * C + c] = code;
    }
}

// One thread for each pooled value writes the four gradients under it.
extern "C" __global__ void max_unpool_naive(
    const REAL* dy, const unsigned char* codes, REAL* dx, int H, int W, int C) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)(H / 2) * (W / 2) * C) return;
    int c = at % C, j = at / C % (W / 2) * 2, i = at / C / (W / 2) * 2;
    for (int q = 0; q < 4; q++)
        dx[((size_t)(i + q / 2) * W + j + q % 2) * C + c] = codes[at] == q ? dy[at] : 0;
}
