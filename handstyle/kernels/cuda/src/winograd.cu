// Winograd's convolution F(TILE x TILE, 3 x 3): transform the input tiles, multiply, transform back. The one-dimensional
// transforms input_1d, kernel_1d, output_1d and the matrices BT, G, AT are generated from the interpolation points; N = TILE + 2.
// Tiles lie in rows of `across`; a launch works on whole rows of tiles, `tiles` in all, the first being `first`.
// A block has 32 channels in x and tiles in y, so that what neighboring threads read and write lies together.
#include "source.cuh"
#include "epilogue.cuh"

// First rung: one thread for each value of U, which reads all nine weights.
extern "C" __global__ void winograd_kernel_naive(const REAL* w, REAL* U, int C, int K, int adjoint) {
    size_t size = (size_t)C * K, at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= N * N * size) return;
    int element = at / size;
    REAL sum = 0;
    for (int tap = 0; tap < 9; tap++)
        sum += G[element / N][tap / 3] * G[element % N][tap % 3] * w[(adjoint ? 8 - tap : tap) * size + at % size];
    U[at] = sum;
}

// (3, 3, C, K) -> (N*N, C, K), of the kernel rotated by 180 degrees for the adjoint.
extern "C" __global__ void winograd_kernel(const REAL* w, REAL* U, int C, int K, int adjoint) {
    size_t size = (size_t)C * K, at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    REAL rows[N][3], column[3], out[N];
#pragma unroll
    for (int j = 0; j < 3; j++) {
#pragma unroll
        for (int i = 0; i < 3; i++) {
            int tap = i * 3 + j;
            column[i] = w[(adjoint ? 8 - tap : tap) * size + at];
        }
        kernel_1d(column, out);
#pragma unroll
        for (int i = 0; i < N; i++) rows[i][j] = out[i];
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        kernel_1d(rows[i], out);
#pragma unroll
        for (int j = 0; j < N; j++) U[(i * N + j) * size + at] = out[j];
    }
}

// First rung: one thread for each value of V, which reads all N*N inputs of its tile.
extern "C" __global__ void winograd_input_naive(
    Source s, REAL* V, int first, int tiles, int across, int offset) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)N * N * tiles * s.C) return;
    int c = at % s.C, tile = at / s.C % tiles, element = at / s.C / tiles;
    int top = (first + tile) / across * TILE - offset, left = (first + tile) % across * TILE - offset;
    REAL sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum += BT[element / N][i] * BT[element % N][j] * read(s, top + i, left + j, c);
    V[at] = sum;
}

__device__ __forceinline__ void store_transformed(
    REAL (&d)[N][N], REAL* V, int tile, int tiles, int c, int C) {
    REAL column[N], out[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
        for (int i = 0; i < N; i++) column[i] = d[i][j];
        input_1d(column, out);
#pragma unroll
        for (int i = 0; i < N; i++) d[i][j] = out[i];
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        input_1d(d[i], out);
#pragma unroll
        for (int j = 0; j < N; j++) V[((size_t)(i * N + j) * tiles + tile) * C + c] = out[j];
    }
}

// Second rung: one thread for each tile and channel; 36 loads, 36 stores, and the transform in registers between. The
// source may be a pooled gradient: undoing the pool costs no pass of its own.
extern "C" __global__ void winograd_input(Source s, REAL* V, int first, int tiles, int across, int offset) {
    int c = blockIdx.y * 32 + threadIdx.x, tile = blockIdx.x * blockDim.y + threadIdx.y;
    if (c >= s.C || tile >= tiles) return;
    int top = (first + tile) / across * TILE - offset, left = (first + tile) % across * TILE - offset;
    int rows[N], columns[N];
    REAL d[N][N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        rows[i] = at_border(top + i, s.H, s.border);
        columns[i] = at_border(left + i, s.W, s.border);
    }
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < N; j++) d[i][j] = value_at(s, rows[i], columns[j], c);
    store_transformed(d, V, tile, tiles, c, s.C);
}

// Third rung: neighboring tiles share two columns of inputs, so the block copies its rows to shared memory once.
#define SIDE_BY_SIDE 4
extern "C" __global__ void winograd_input_tiled(Source s, REAL* V, int first, int tiles, int across, int offset) {
    const int width = SIDE_BY_SIDE * TILE + 2;
    __shared__ REAL patch[N][width][32];
    int groups = (across + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE;
    int row = blockIdx.x / groups, begin = blockIdx.x % groups * SIDE_BY_SIDE;
    int c = blockIdx.y * 32 + threadIdx.x;
    int top = (first / across + row) * TILE - offset, left = begin * TILE - offset;
    for (int p = threadIdx.y; p < N * width; p += SIDE_BY_SIDE)
        patch[p / width][p % width][threadIdx.x] = c < s.C ? read(s, top + p / width, left + p % width, c) : 0;
    __syncthreads();
    int column = begin + threadIdx.y;
    if (c >= s.C || column >= across) return;
    REAL d[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) d[i][j] = patch[i][threadIdx.y * TILE + j][threadIdx.x];
    store_transformed(d, V, row * across + column, tiles, c, s.C);
}

// First rung: one thread for each output, which reads all N*N products of its tile; bias and rectifier come later.
extern "C" __global__ void winograd_output_naive(
    const REAL* M, REAL* y, int first, int tiles, int across, int H, int W, int K) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)tiles * TILE * TILE * K) return;
    int k = at % K, within = at / K % (TILE * TILE), tile = at / K / (TILE * TILE);
    int h = (first + tile) / across * TILE + within / TILE, w = (first + tile) % across * TILE + within % TILE;
    if (h >= H || w >= W) return;
    REAL sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum += AT[within / TILE][i] * AT[within % TILE][j] * M[((size_t)(i * N + j) * tiles + tile) * K + k];
    y[((size_t)h * W + w) * K + k] = sum;
}

// (N*N, tiles, K) -> M x M outputs a tile, then `apply_epilogue`.
extern "C" __global__ void winograd_output(const REAL* M, int first, int tiles, int across, Epilogue f) {
    int k = blockIdx.y * 32 + threadIdx.x, tile = blockIdx.x * blockDim.y + threadIdx.y;
    if (tile >= tiles) return;  // a whole warp: its lanes share the tile
    int top = (first + tile) / across * TILE, left = (first + tile) % across * TILE;
    REAL half[TILE][N], column[N], out[TILE], v[TILE][TILE];
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            column[i] = k < f.K ? M[((size_t)(i * N + j) * tiles + tile) * f.K + k] : 0;
        output_1d(column, out);
#pragma unroll
        for (int i = 0; i < TILE; i++) half[i][j] = out[i];
    }
#pragma unroll
    for (int i = 0; i < TILE; i++) {
        output_1d(half[i], out);
#pragma unroll
        for (int j = 0; j < TILE; j++) v[i][j] = out[j];
    }
    apply_epilogue<TILE>(v, top, left, k, f);
}
