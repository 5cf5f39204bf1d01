// A 3x3 convolution as one matrix product, (pixels, 9 C) by (9 C, K), without storing the left factor (implicit GEMM): a
// block copies its patch of the map to shared memory once, and all nine taps read it there, each at its own offset.
#include "source.cuh"
#include "epilogue.cuh"
#include "tensor.cuh"

// First rung: one thread for each output value. w is (3, 3, C, K); the adjoint rotates (3, 3, K, C) by 180 degrees.
extern "C" __global__ void implicit_naive(
    Source s, const REAL* w, REAL* y, int H, int W, int K, int offset, int adjoint) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)H * W * K) return;
    int k = at % K, v = at / K % W, h = at / K / W;
    REAL sum = 0;
    for (int tap = 0; tap < 9; tap++)
        for (int c = 0; c < s.C; c++) {
            size_t weight = adjoint ? ((size_t)(8 - tap) * K + k) * s.C + c : ((size_t)tap * s.C + c) * K + k;
            sum += read(s, h + tap / 3 - offset, v + tap % 3 - offset, c) * w[weight];
        }
    y[at] = sum;
}

#if REAL_BITS == 32
#define DEPTH 16    // channels in of a chunk; a step of the pipeline is a chunk's row of three taps
#define COLUMNS 16  // of a block's pixels, and of a warp's
#define PIXEL 72    // floats of a pixel of a warp's 64 results: rows of them then fall on different banks

// Store the weights in the order in which the product reads them, rounded to TF32: (C/16, 9, K, 16).
extern "C" __global__ void implicit_kernel(const REAL* w, REAL* B, int C, int K, int adjoint) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)9 * C * K) return;
    int k = at / DEPTH % K, tap = at / DEPTH / K % 9, c = at / DEPTH / K / 9 * DEPTH + at % DEPTH;
    B[at] = to_tf32(adjoint ? w[((size_t)(8 - tap) * K + k) * C + c] : w[((size_t)tap * C + c) * K + k]);
}

// Return the index of the pixel of s.x that is read at (h, w), or of the one that (h, w) was pooled to; -1 for none.
template <int UNPOOL>
__device__ __forceinline__ int find(const Source& s, int h, int w) {
    if (UNPOOL) return h >= 0 && w >= 0 && h / 2 < s.ph && w / 2 < s.pw ? h / 2 * s.pw + w / 2 : -1;
    return h >= 0 && w >= 0 ? h * s.W + w : -1;
}

// Return the words that undo a pool at the pixel (h, w), for 32 channels, without a branch; for an average they are equal.
struct Codes {
    word low, high, positive;
};

__device__ __forceinline__ Codes ask(const Source& s, int h, int w, int c) {
    int max_pool = s.unpool == POOL_MAX, words = words_of(s.C), step = max_pool ? words : 0, pixel = find<1>(s, h, w);
    pixel = pixel < 0 ? 0 : max_pool ? pixel * 3 : h * s.W + w;
    const word* bits = s.codes + (size_t)pixel * words + c / 32;
    return {bits[0], bits[step], bits[2 * step]};
}

__device__ __forceinline__ float4 undone(const Source& s, float4 a, const Codes& codes, int h, int w, int c) {
    word any = s.unpool == POOL_MAX ? 0 : ~0u, high = h & 1 ? codes.high : ~codes.high;
    word low = w & 1 ? codes.low : ~codes.low, chosen = codes.positive & (high | any) & (low | any);
    float share = any ? ((h | 1) < s.H ? 0.5f : 1.0f) * ((w | 1) < s.W ? 0.5f : 1.0f) : 1.0f;
    chosen >>= c % 32;
    return make_float4(chosen & 1 ? a.x * share : 0, chosen & 2 ? a.y * share : 0, chosen & 4 ? a.z * share : 0,
                       chosen & 8 ? a.w * share : 0);
}

// Apply the mask and add the gradients of the taps to a warp's results, 2 x 16 pixels of 64 channels in shared memory,
// before `apply_epilogue`. Many values are loaded at a time, because so few warps cannot hide the latency of single loads.
__device__ __forceinline__ void add_gradients(float* results, int lane, int top, int left, int k, const Epilogue& f) {
    const int AHEAD = 4;
    k += lane % 16 * 4;
    for (int n = 0; n < 16; n += AHEAD) {
        float4 at_relu[AHEAD], at_conv[AHEAD];
        word mask[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            int p = (n + u) * 2 + lane / 16, h = top + p / COLUMNS, w = left + p % COLUMNS;
            size_t pixel = (size_t)h * f.W + w;
            int inside = h < f.H && w < f.W;
            at_relu[u] = at_conv[u] = make_float4(0, 0, 0, 0);
            mask[u] = ~0u;
            if (inside && f.relu_gradient) at_relu[u] = *(const float4*)(f.relu_gradient + pixel * f.K + k);
            if (inside && f.mask) mask[u] = f.mask[pixel * words_of(f.K) + k / 32];
            if (inside && f.conv_gradient) at_conv[u] = *(const float4*)(f.conv_gradient + pixel * f.K + k);
        }
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            float4* at = (float4*)(results + ((n + u) * 2 + lane / 16) * PIXEL + lane % 16 * 4);
            float4 a = *at, e = at_relu[u], b = at_conv[u];
            word m = mask[u] >> k % 32;
            *at = make_float4((m & 1 ? a.x + e.x : 0) + b.x, (m & 2 ? a.y + e.y : 0) + b.y,
                              (m & 4 ? a.z + e.z : 0) + b.z, (m & 8 ? a.w + e.w : 0) + b.w);
        }
    }
}

// A block has ROWS x 16 pixels of CHANNELS channels, a warp 4 x 16 pixels of 64: 16 loads of 16 bytes for 64 products.
//
// A product of 8 channels may take them in any order, if both factors take the same. A lane's four neighboring
// channels 4t..4t+3 therefore serve as t and t+4 of two products, and one load brings them for a column of B. Of the
// patch, a load brings what one product wants in four registers in a row: two channels of the pixels w and w+8. So the
// patch is stored in pairs of pixels, (rows, 2, 10, 4) times 16 bytes: row, which two of four channels, w, which four. A
// warp's load is then always 512 contiguous bytes, at every tap: there are no bank conflicts and no padding.
//
// With the patch, a map's values are read 1.4 times for nine taps, so most of the traffic is B's; the more pixels a block
// has, the less of it. There is one barrier for each row of three taps. After it the copy of the next row's weights
// starts, and after the first row's also the copy of the next chunk's patch.
template <int ROWS, int CHANNELS, int UNPOOL>
__device__ __forceinline__ void implicit(const Source& s, const float* B, int offset, const Epilogue& f) {
    const int ACROSS = CHANNELS / 64, THREADS = ROWS / 4 * ACROSS * 32;
    const int PAIRS = COLUMNS / 2 + 2, HALF = PAIRS * DEPTH / 4, PATCH = (ROWS + 2) * 2 * HALF;  // in 16 bytes
    const int TAP = CHANNELS * DEPTH / 4, PIECES = (PATCH / 2 + THREADS - 1) / THREADS;  // a thread's pairs
    SHARED_ON_DEMAND(shared, (2 * PATCH + 6 * TAP) * 16);
    __shared__ int rows[ROWS + 2], columns[COLUMNS + 2];
    float4 *patches = shared, *weights = shared + 2 * PATCH;

    // Blocks of the same pixels have neighboring indices and run at the same time, so the map is read from memory once;
    // B, at most 9 MB, stays in the second-level cache.
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, blocks = f.K / CHANNELS;
    int across = (f.W + COLUMNS - 1) / COLUMNS, tile = blockIdx.x / blocks, first = blockIdx.x % blocks * CHANNELS;
    int top = tile / across * ROWS, left = tile % across * COLUMNS;
    int row = warp / ACROSS * 4, channel = warp % ACROSS * 64;  // of the warp, in the block
    if (thread < ROWS + 2) rows[thread] = at_border(top + thread - offset, s.H, s.border);
    if (thread < COLUMNS + 2) columns[thread] = at_border(left + thread - offset, s.W, s.border);
    __syncthreads();

    // All pieces but the last exist for every thread. The bound is written so that the compiler sees it and emits no branch.
    int c = thread % 4 * 4;
    auto exists = [&](int n) {
        return n < PIECES && ((n + 1) * THREADS <= PATCH / 2 || thread + n * THREADS < PATCH / 2);
    };
    auto place = [&](int n) { return thread + n * THREADS + (thread + n * THREADS) / HALF * HALF; };
    auto height = [&](int n) { return exists(n) ? rows[(thread + n * THREADS) / HALF] : -1; };
    auto width = [&](int n, int right) { return columns[(thread + n * THREADS) % HALF / 4 + right * 8]; };
    auto store = [&](float4* at, float4 a, float4 b) {  // the pixels w and w+8
        at[0] = make_float4(to_tf32(a.x), to_tf32(b.x), to_tf32(a.y), to_tf32(b.y));
        at[HALF] = make_float4(to_tf32(a.z), to_tf32(b.z), to_tf32(a.w), to_tf32(b.w));
    };
    auto send_patch = [&](int chunk) {
#pragma unroll
        for (int begin = 0; begin < PIECES; begin += 3) {  // addresses first: a copy lets no load overtake it
            int pixels[3][2];
#pragma unroll
            for (int n = 0; n < 3; n++)
#pragma unroll
                for (int right = 0; right < 2; right++)
                    pixels[n][right] = find<UNPOOL>(s, height(begin + n), width(begin + n, right));
#pragma unroll
            for (int n = 0; n < 3; n++)
#pragma unroll
                for (int right = 0; right < 2; right++)
                    if (exists(begin + n))
                        copy_async_16(patches + chunk % 2 * PATCH + place(begin + n) + right * HALF,
                                      s.x + (size_t)max(pixels[n][right], 0) * s.C + chunk * DEPTH + c,
                                      pixels[n][right] < 0 ? 0 : 16);
        }
    };
    auto pair_patch = [&](int chunk) {  // each thread what it has sent for itself: no barrier between
#pragma unroll
        for (int n = 0; n < PIECES; n++)
            if (exists(n)) {
                float4* at = patches + chunk % 2 * PATCH + place(n);
                store(at, at[0], at[HALF]);
            }
    };
    auto send_weights = [&](int step) {
        const float* from = B + ((size_t)step * 3 * f.K + first) * DEPTH + thread * 4;
        float4* to = weights + step % 2 * 3 * TAP + thread;
#pragma unroll
        for (int j = 0; j < 3; j++)
#pragma unroll
            for (int n = 0; n < TAP; n += THREADS)
                copy_async_16(to + j * TAP + n, from + (size_t)j * f.K * DEPTH + n * 4, 16);
    };
    auto ask_piece = [&](int chunk, int n, int right) { return ask(s, height(n), width(n, right), chunk * DEPTH + c); };
    auto undo_piece = [&](int chunk, int n, const Codes& a, const Codes& b) {
        if (!exists(n)) return;
        float4* at = patches + chunk % 2 * PATCH + place(n);
        int h = height(n), channel = chunk * DEPTH + c;
        store(at, undone(s, at[0], a, h, width(n, 0), channel), undone(s, at[HALF], b, h, width(n, 1), channel));
    };

    send_weights(0);
    send_patch(0);
    commit();
    wait<0>();
    if (UNPOOL)
        for (int n = 0; n < PIECES; n++) undo_piece(0, n, ask_piece(0, n, 0), ask_piece(0, n, 1));
    else
        pair_patch(0);
    float sums[4][8][4] = {};  // rows of pixels, eights of channels
    int chunks = s.C / DEPTH;
    for (int chunk = 0; chunk < chunks; chunk++)
#pragma unroll 1
        for (int i = 0; i < 3; i++) {
            int step = chunk * 3 + i;
            wait<0>();
            __syncthreads();
            if (step + 1 < chunks * 3) send_weights(step + 1);
            if (i == 0 && chunk + 1 < chunks) send_patch(chunk + 1);
            commit();
            if (!UNPOOL && i == 2 && chunk + 1 < chunks) pair_patch(chunk + 1);
            const float4* a_at = patches + chunk % 2 * PATCH + (row + i) * 2 * HALF + lane;
            const float4* b_at = weights + step % 2 * 3 * TAP + channel * DEPTH / 4 + lane;
#pragma unroll
            for (int j = 0; j < 3; j++) {
                int n = i * 3 - 3 + j, undoing = UNPOOL && n >= 0 && n < PIECES && chunk + 1 < chunks;
                Codes codes[2];
                if (undoing) codes[0] = ask_piece(chunk + 1, n, 0), codes[1] = ask_piece(chunk + 1, n, 1);
                float4 a[4][2];
#pragma unroll
                for (int m = 0; m < 4; m++)
#pragma unroll
                    for (int two = 0; two < 2; two++) a[m][two] = a_at[(m * 2 + two) * HALF + j * 4];
#pragma unroll
                for (int n = 0; n < 8; n++) {
                    float4 b = b_at[j * TAP + n * 32];
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_16x8x8(sums[m][n], a[m][0].x, a[m][0].y, a[m][0].z, a[m][0].w, b.x, b.y);
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_16x8x8(sums[m][n], a[m][1].x, a[m][1].y, a[m][1].z, a[m][1].w, b.z, b.w);
                }
                if (undoing) undo_piece(chunk + 1, n, codes[0], codes[1]);
            }
        }

    // Rearrange through shared memory, two rows of pixels at a time, to the layout of `apply_epilogue`: one lane for each channel.
    int backward = f.relu_gradient || f.mask || f.conv_gradient;
    float* results = (float*)shared + warp * 2 * COLUMNS * PIXEL;
    int k = first + channel;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        __syncthreads();
#pragma unroll
        for (int n = 0; n < 8; n++) {
            int c = n * 8 + lane % 4 * 2;
            float2 bias = f.bias ? make_float2(f.bias[k + c], f.bias[k + c + 1]) : make_float2(0, 0);
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int right = 0; right < 2; right++)
                    if (m / 2 == half)
                        *(float2*)(results + (m % 2 * COLUMNS + right * 8 + lane / 4) * PIXEL + c) =
                            make_float2(sums[m][n][right * 2] + bias.x, sums[m][n][right * 2 + 1] + bias.y);
        }
        __syncthreads();
        int h = top + row + half * 2;
        if (backward) {
            add_gradients(results, lane, h, left, k, f);
            __syncthreads();
        }
#pragma unroll 1
        for (int n = 0; n < COLUMNS; n++) {  // eight squares of pixels, of each twice 32 channels
            int w = n / 2 * 2, c = n % 2 * 32 + lane;
            if (h >= f.H || left + w >= f.W) break;  // a whole warp
            float v[2][2];
#pragma unroll
            for (int q = 0; q < 4; q++) v[q / 2][q % 2] = results[(q / 2 * COLUMNS + w + q % 2) * PIXEL + c];
            apply_epilogue<2, 1>(v, h, left + w, k + c, f);
        }
    }
}

// Second rung. In x: blocks of pixels, each K / CHANNELS times; ROWS * CHANNELS / 8 threads. C is a multiple of 16, K
// of CHANNELS, and x, B, relu_gradient and conv_gradient begin at multiples of 16 bytes.
extern "C" __global__ void implicit_tf32(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<16, 128, 0>(s, B, offset, f);
}

extern "C" __global__ void implicit_tf32_unpool(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<16, 128, 1>(s, B, offset, f);
}

// Half the pixels, for a map that has too few for all multiprocessors.
extern "C" __global__ void implicit_tf32_half(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<8, 128, 0>(s, B, offset, f);
}

extern "C" __global__ void implicit_tf32_half_unpool(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<8, 128, 1>(s, B, offset, f);
}

// Half the channels, for 64 of them.
extern "C" __global__ void implicit_tf32_narrow(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<16, 64, 0>(s, B, offset, f);
}

extern "C" __global__ void implicit_tf32_narrow_unpool(Source s, const REAL* B, int offset, Epilogue f) {
    implicit<16, 64, 1>(s, B, offset, f);
}
#endif
