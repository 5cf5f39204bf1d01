// Apply an epilogue to M x M values of one channel while they are in registers. Forward: bias, the value of a tapped
// convolution, rectifier and its bits, pool and its codes. Backward: the gradient that enters at the rectifier's
// tap, the rectifier's mask, the gradient that enters at the convolution's. Null pointers and zeros leave a step out.
//
// The 32 lanes of a warp hold 32 neighboring channels of the same pixels and must all call this, those beyond the
// last channel too: they vote on the words of bits.

struct Epilogue {
    const REAL* bias;           // (K,)
    const REAL* relu_gradient;  // (H, W, K)
    const word* mask;           // (H, W, words)
    const REAL* conv_gradient;  // (H, W, K)
    REAL* raw;                  // (H, W, K): before the rectifier; only forward, where nothing enters
    REAL* y;                    // (H, W, K)
    word* bits;                 // (H, W, words)
    REAL* pooled;               // (ph, pw, K)
    word* planes;               // (ph, pw, 3, words): code's low bit, high bit, positive
    int H, W, K;
    int rectify, pool, ph, pw;
};

template <int M>
__device__ __forceinline__ void pool_values(const REAL (&v)[M][M], int top, int left, int k, const Epilogue& f) {
    int words = words_of(f.K), live = k < f.K;
#pragma unroll
    for (int i = 0; i < M; i += 2)
#pragma unroll
        for (int j = 0; j < M; j += 2) {
            int ph = (top + i) / 2, pw = (left + j) / 2;
            if (ph >= f.ph || pw >= f.pw) continue;
            size_t pixel = (size_t)ph * f.pw + pw;
            REAL best = v[i][j], sum = 0;
            int code = 0, count = 0;
#pragma unroll
            for (int q = 0; q < 4; q++) {
                if (top + i + q / 2 >= f.H || left + j + q % 2 >= f.W) continue;
                REAL a = v[i + q / 2][j + q % 2];
                sum += a;
                count++;
                if ((a > best || a != a) && best == best) {  // the first of equals, and a NaN stays
                    best = a;
                    code = q;
                }
            }
            if (f.pool == POOL_MAX) {
                word low = __ballot_sync(0xffffffffu, live && (code & 1));
                word high = __ballot_sync(0xffffffffu, live && (code & 2));
                word positive = __ballot_sync(0xffffffffu, live && best > 0);
                if (f.planes && k % 32 == 0) {
                    f.planes[(pixel * 3 + 0) * words + k / 32] = low;
                    f.planes[(pixel * 3 + 1) * words + k / 32] = high;
                    f.planes[(pixel * 3 + 2) * words + k / 32] = positive;
                }
            }
            if (live) f.pooled[pixel * f.K + k] = f.pool == POOL_MAX ? best : sum / count;
        }
}

// Everything is read before anything is written: a load may not overtake a store that could lie at its address, and a
// thread that waits for each load before it issues the next is idle most of the time. COMPLETE: the bias and the entering
// gradients have been added already.
template <int M, int COMPLETE = 0>
__device__ __forceinline__ void apply_epilogue(REAL (&v)[M][M], int top, int left, int k, const Epilogue& f) {
    int words = words_of(f.K), live = k < f.K;
    REAL bias = !COMPLETE && f.bias && live ? f.bias[k] : 0;
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < M; j++) {
            size_t pixel = (size_t)(top + i) * f.W + left + j, at = pixel * f.K + k;
            int inside = live && top + i < f.H && left + j < f.W;
            v[i][j] += bias;
            if (f.raw) {
                if (inside) f.raw[at] = v[i][j];
                continue;
            }
            if (COMPLETE) continue;
            REAL relu_gradient = inside && f.relu_gradient ? f.relu_gradient[at] : 0;
            REAL conv_gradient = inside && f.conv_gradient ? f.conv_gradient[at] : 0;
            int passes = inside && f.mask ? bit_of(f.mask, pixel, f.K, k) : 1;
            v[i][j] = (passes ? v[i][j] + relu_gradient : 0) + conv_gradient;
        }
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < M; j++) {
            if (top + i >= f.H || left + j >= f.W) continue;
            size_t pixel = (size_t)(top + i) * f.W + left + j;
            REAL a = v[i][j];
            if (f.rectify) {
                word positive = __ballot_sync(0xffffffffu, live && a > 0);
                if (f.bits && k % 32 == 0) f.bits[pixel * words + k / 32] = positive;
                if (a <= 0) a = 0;  // a NaN stays a NaN
            }
            if (f.y && live) f.y[pixel * f.K + k] = a;
            v[i][j] = a;
        }
    if (f.pool != POOL_NONE) pool_values<M>(v, top, left, k, f);
}
