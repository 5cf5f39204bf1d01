// The input of a kernel: a feature map (H, W, C) with a border, or a pooled gradient read as the map it was pooled from.

#define BORDER_ZERO 0
#define BORDER_REFLECT 1
#define BORDER_REPLICATE 2
#define POOL_NONE 0
#define POOL_MAX 1
#define POOL_AVERAGE 2

typedef unsigned int word;  // one bit for each of 32 neighboring channels of a pixel

struct Source {
    const REAL* x;      // (H, W, C), or pooled (ph, pw, C)
    const word* codes;  // of a max pool: three planes, (ph, pw, 3, words); of an average: the rectifier's bits, (H, W, words)
    int H, W, C;        // of the map that is seen
    int border;
    int unpool;         // POOL_NONE: x is the map itself
    int ph, pw;
};

__device__ __forceinline__ int words_of(int channels) { return (channels + 31) / 32; }

__device__ __forceinline__ int bit_of(const word* bits, size_t pixel, int channels, int c) {
    return (bits[pixel * words_of(channels) + c / 32] >> (c % 32)) & 1u;
}

// Return the row (or column) to read for i in [-1, n]: i itself, the one that the border copies, or -1 for zero.
__device__ __forceinline__ int at_border(int i, int n, int border) {
    if (i >= 0 && i < n) return i;
    if (border == BORDER_ZERO || i < -1 || i > n) return -1;
    int step = border == BORDER_REFLECT && n > 1 ? 1 : 0;
    return i < 0 ? step : n - 1 - step;
}

__device__ __forceinline__ REAL unpooled(const Source& s, int h, int w, int c) {
    int i = h / 2, j = w / 2;
    if (i >= s.ph || j >= s.pw) return 0;  // an odd edge that the pool dropped
    size_t pixel = (size_t)i * s.pw + j;
    if (s.unpool == POOL_MAX) {
        int code = bit_of(s.codes, pixel * 3, s.C, c) | bit_of(s.codes, pixel * 3 + 1, s.C, c) << 1;
        int here = (h % 2) * 2 + w % 2;
        return code == here && bit_of(s.codes, pixel * 3 + 2, s.C, c) ? s.x[pixel * s.C + c] : 0;
    }
    if (!bit_of(s.codes, (size_t)h * s.W + w, s.C, c)) return 0;
    int count = min(2, s.H - 2 * i) * min(2, s.W - 2 * j);
    return s.x[pixel * s.C + c] / count;
}

// Return the value at (h, w), as returned by at_border.
__device__ __forceinline__ REAL value_at(const Source& s, int h, int w, int c) {
    if (h < 0 || w < 0) return 0;
    if (s.unpool != POOL_NONE) return unpooled(s, h, w, c);
    return s.x[((size_t)h * s.W + w) * s.C + c];
}

__device__ __forceinline__ REAL read(const Source& s, int h, int w, int c) {
    return value_at(s, at_border(h, s.H, s.border), at_border(w, s.W, s.border), c);
}
