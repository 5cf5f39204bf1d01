// The first layer has three input channels: too few for a matrix product, few enough for registers. Its adjoint has three
// output channels: a matrix product gives 27 partial sums for each pixel, and a second kernel adds those of each pixel.
#include "source.cuh"
#include "epilogue.cuh"
#define CHANNELS 3

// First rung: one thread for each output value.
extern "C" __global__ void first_forward_naive(Source s, const REAL* w, const REAL* b, REAL* y, int K) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)s.H * s.W * K) return;
    int k = at % K, v = at / K % s.W, h = at / K / s.W;
    REAL sum = b[k];
    for (int tap = 0; tap < 9; tap++)
        for (int c = 0; c < CHANNELS; c++)
            sum += read(s, h + tap / 3 - 1, v + tap % 3 - 1, c) * w[(tap * CHANNELS + c) * K + k];
    y[at] = sum;
}

// The weights of a channel stay in the registers of its thread while it loops over QUADS blocks of 2 x 2 pixels, whose
// inputs the thread block has copied to shared memory.
#define QUADS 8
#define WALKERS 4
extern "C" __global__ void first_forward(Source s, const REAL* w, Epilogue f) {
    const int width = 2 * QUADS * WALKERS + 2;
    __shared__ REAL patch[4][width][CHANNELS];
    int stretches = (f.W + 2 * QUADS * WALKERS - 1) / (2 * QUADS * WALKERS);
    int top = blockIdx.x / stretches * 2, begin = blockIdx.x % stretches * (2 * QUADS * WALKERS);
    int k = blockIdx.y * 32 + threadIdx.x;
    for (int p = threadIdx.y * 32 + threadIdx.x; p < 4 * width * CHANNELS; p += 32 * WALKERS) {
        int c = p % CHANNELS, j = p / CHANNELS % width, i = p / CHANNELS / width;
        patch[i][j][c] = read(s, top + i - 1, begin + j - 1, c);
    }
    REAL kernel[9][CHANNELS];
#pragma unroll
    for (int tap = 0; tap < 9; tap++)
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) kernel[tap][c] = k < f.K ? w[(tap * CHANNELS + c) * f.K + k] : 0;
    __syncthreads();
    for (int q = 0; q < QUADS; q++) {
        int left = 2 * (q * WALKERS + threadIdx.y);
        if (begin + left >= f.W) continue;  // a whole warp
        REAL v[2][2];
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                REAL sum = 0;
#pragma unroll
                for (int tap = 0; tap < 9; tap++)
#pragma unroll
                    for (int c = 0; c < CHANNELS; c++)
                        sum += patch[i + tap / 3][left + j + tap % 3][c] * kernel[tap][c];
                v[i][j] = sum;
            }
        apply_epilogue<2>(v, top, begin + left, k, f);
    }
}

// First rung: one thread for each gradient, nine pixels times K channels each.
extern "C" __global__ void first_backward_naive(Source dy, const REAL* w, REAL* dx) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)dy.H * dy.W * CHANNELS) return;
    int c = at % CHANNELS, v = at / CHANNELS % dy.W, h = at / CHANNELS / dy.W;
    REAL sum = 0;
    for (int tap = 0; tap < 9; tap++)
        for (int k = 0; k < dy.C; k++)
            sum += read(dy, h + 1 - tap / 3, v + 1 - tap % 3, k) * w[(tap * CHANNELS + c) * dy.C + k];
    dx[at] = sum;
}

// P (have, W, 27) holds, for the rows from `begin` on, the contribution of each output pixel to the gradient of its nine
// inputs; dx[h, w] is the sum over the pixels that read it, for `rows` rows from `row` on. `shift` is 1, or 0 where dx has a border of one pixel.
extern "C" __global__ void first_gather(
    const REAL* P, REAL* dx, int begin, int have, int W, int row, int rows, int Wo, int shift) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)rows * Wo * CHANNELS) return;
    int c = at % CHANNELS, v = at / CHANNELS % Wo, h = row + at / CHANNELS / Wo;
    REAL sum = 0;
    for (int tap = 0; tap < 9; tap++) {
        int i = h + shift - tap / 3 - begin, j = v + shift - tap % 3;
        if (i >= 0 && i < have && j >= 0 && j < W) sum += P[(((size_t)i * W + j) * 9 + tap) * CHANNELS + c];
    }
    dx[((size_t)h * Wo + v) * CHANNELS + c] = sum;
}
