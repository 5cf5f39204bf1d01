// Passes over a map that are fused into a convolution where it can be, and run alone where not.
#include "source.cuh"
#include "epilogue.cuh"

// Bias, rectifier, masks, gradients at taps, pooling and its adjoint: 2 x 2 pixels a thread, 32 channels a warp.
extern "C" __global__ void epilogue(Source s, Epilogue f) {
    int across = (f.W + 1) / 2, quads = (f.H + 1) / 2 * across;
    int k = blockIdx.y * 32 + threadIdx.x, quad = blockIdx.x * blockDim.y + threadIdx.y;
    if (quad >= quads) return;  // a whole warp
    int top = quad / across * 2, left = quad % across * 2;
    REAL v[2][2];
    for (int q = 0; q < 4; q++) {
        int inside = k < f.K && top + q / 2 < f.H && left + q % 2 < f.W;
        v[q / 2][q % 2] = inside ? read(s, top + q / 2, left + q % 2, k) : 0;
    }
    apply_epilogue<2>(v, top, left, k, f);
}

// The adjoint of padding: the gradient at a border pixel is added to the pixel that the border was copied from. dxpad is
// (H+2, W+2, C); it is gathered, not scattered, so no two threads write to one place.
extern "C" __global__ void fold(const REAL* dxpad, int border, Epilogue f) {
    int across = (f.W + 1) / 2, quads = (f.H + 1) / 2 * across;
    int k = blockIdx.y * 32 + threadIdx.x, quad = blockIdx.x * blockDim.y + threadIdx.y;
    if (quad >= quads) return;
    int top = quad / across * 2, left = quad % across * 2;
    REAL v[2][2];
    for (int q = 0; q < 4; q++) {
        int h = top + q / 2, w = left + q % 2;
        REAL sum = 0;
        if (k < f.K && h < f.H && w < f.W)
            for (int a = 0; a < 3; a++)
                for (int b = 0; b < 3; b++) {
                    int i = a == 0 ? h : a == 1 ? -1 : f.H, j = b == 0 ? w : b == 1 ? -1 : f.W;
                    if (at_border(i, f.H, border) == h && at_border(j, f.W, border) == w)
                        sum += dxpad[((size_t)(i + 1) * (f.W + 2) + j + 1) * f.K + k];
                }
        v[q / 2][q % 2] = sum;
    }
    apply_epilogue<2>(v, top, left, k, f);
}

// First rung of the adjoint of padding: one thread for each pixel loops over the channels, and nothing is fused.
extern "C" __global__ void fold_naive(const REAL* dxpad, REAL* dx, int border, int H, int W, int C) {
    size_t pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (size_t)H * W) return;
    int h = pixel / W, w = pixel % W;
    for (int c = 0; c < C; c++) {
        REAL sum = 0;
        for (int a = 0; a < 9; a++) {
            int i = a / 3 == 0 ? h : a / 3 == 1 ? -1 : H, j = a % 3 == 0 ? w : a % 3 == 1 ? -1 : W;
            if (at_border(i, H, border) == h && at_border(j, W, border) == w)
                sum += dxpad[((size_t)(i + 1) * (W + 2) + j + 1) * C + c];
        }
        dx[pixel * C + c] = sum;
    }
}

// First rung of padding: one thread for each pixel loops over the channels; neighboring threads write far apart.
extern "C" __global__ void pad_naive(Source s, REAL* xpad) {
    size_t pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (size_t)(s.H + 2) * (s.W + 2)) return;
    int h = (int)(pixel / (s.W + 2)) - 1, w = (int)(pixel % (s.W + 2)) - 1;
    for (int c = 0; c < s.C; c++) xpad[pixel * s.C + c] = read(s, h, w, c);
}

// Second rung: neighboring threads have neighboring channels. (H, W, C) -> (H+2, W+2, C)
extern "C" __global__ void pad(Source s, REAL* xpad) {
    int c = blockIdx.y * 32 + threadIdx.x, pixel = blockIdx.x * blockDim.y + threadIdx.y;
    if (c >= s.C || pixel >= (s.H + 2) * (s.W + 2)) return;
    xpad[(size_t)pixel * s.C + c] = read(s, pixel / (s.W + 2) - 1, pixel % (s.W + 2) - 1, c);
}

// First rung of the rectifier: a byte a value. `size` values, K channels.
extern "C" __global__ void rectify_naive(REAL* y, const REAL* bias, unsigned char* positive, int K, size_t size) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    REAL a = y[at] + bias[at % K];
    positive[at] = a > 0;
    y[at] = a <= 0 ? 0 : a;
}
