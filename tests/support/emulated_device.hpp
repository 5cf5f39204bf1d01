// A processor that plays the part of a GPU: blocks one after the other, the threads of a block as fibres that change hands at
// barriers and votes. It stops with a message where a GPU would hang or return nonsense: when threads of a block wait at
// different things, or a lane is missing from a vote of the whole warp.
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

using std::max;
using std::min;

#define __global__
#define __device__ static
#define __constant__ static const
#define __forceinline__ inline
#define __shared__ static

struct Three {
    int x, y, z;
};
struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static float2 make_float2(float x, float y) { return {x, y}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static Three gridDim, blockDim, blockIdx, threadIdx;

enum State { READY, AT_BARRIER, AT_VOTE, DONE };
struct Copy {
    void* to;
    const void* from;
    int bytes;
};
struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    State state;
    int vote;
    Three index;
    float operands[2][6];  // of a product, and of the one before it, which others may still be reading
    int products;
    std::vector<std::vector<Copy>> copies;  // in flight: the groups, and behind them what is not committed yet
};
static std::vector<Fibre> fibres;
static ucontext_t scheduler;
static int current;
static void (*body)(void**);
static void** body_arguments;

static void enter() {
    body(body_arguments);
    fibres[current].state = DONE;
    swapcontext(&fibres[current].context, &scheduler);
}

static void wait_at(State state) {
    fibres[current].state = state;
    swapcontext(&fibres[current].context, &scheduler);
}

static void __syncthreads() { wait_at(AT_BARRIER); }

static unsigned __ballot_sync(unsigned, int predicate) {
    fibres[current].vote = predicate != 0;
    wait_at(AT_VOTE);
    unsigned result = 0;
    int warp = current / 32 * 32;
    for (int lane = 0; lane < 32 && warp + lane < (int)fibres.size(); lane++)
        result |= (unsigned)fibres[warp + lane].vote << lane;
    wait_at(AT_VOTE);  // nobody votes again before everybody has read
    return result;
}

static float cut(float a, unsigned add) {
    unsigned bits;
    if (a != a) return a;
    memcpy(&bits, &a, 4);
    bits = (bits + add) & ~0x1fffu;
    memcpy(&a, &bits, 4);
    return a;
}

static float to_tf32(float a) { return cut(a, 0x1000u); }

// As the tensor cores do it: of the factors, what is beyond ten bits is dropped.
static void mma_16x8x8(float (&d)[4], float a0, float a1, float a2, float a3, float b0, float b1) {
    int warp = current / 32 * 32, g = current % 32 / 4, t = current % 4, turn = fibres[current].products++ % 2;
    float operands[6] = {a0, a1, a2, a3, b0, b1};
    for (int i = 0; i < 6; i++) fibres[current].operands[turn][i] = cut(operands[i], 0);
    wait_at(AT_VOTE);
    for (int q = 0; q < 4; q++) {
        double sum = 0;
        for (int k = 0; k < 8; k++)
            sum += (double)fibres[warp + g * 4 + k % 4].operands[turn][q / 2 + k / 4 * 2] *
                   fibres[warp + (t * 2 + q % 2) * 4 + k % 4].operands[turn][4 + k / 4];
        d[q] = (float)(d[q] + sum);
    }
}

// A copy arrives when it is waited for, no sooner.
static void copy_async_16(void* to, const void* from, int bytes) {
    if (((size_t)to | (size_t)from) % 16) {
        fprintf(stderr, "a copy of 16 bytes that is not aligned\n");
        abort();
    }
    fibres[current].copies.back().push_back({to, from, bytes});
}

static void commit() { fibres[current].copies.emplace_back(); }

template <int n>
static void wait() {
    auto& copies = fibres[current].copies;
    for (; copies.size() > n + 1; copies.erase(copies.begin()))
        for (auto& copy : copies.front()) {
            memset(copy.to, 0, 16);
            memcpy(copy.to, copy.from, copy.bytes);
        }
}

#define SHARED_ON_DEMAND(name, bytes) static float4 name[(bytes) / 16]

// Returns 0, or what went wrong.
static const char* run_block(bool reversed) {
    int count = blockDim.x * blockDim.y * blockDim.z;
    fibres.resize(count);
    for (int t = 0; t < count; t++) {
        Fibre& f = fibres[t];
        f.stack.resize(1 << 16);
        f.state = READY;
        f.products = 0;
        f.copies.assign(1, {});
        f.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    for (;;) {
        for (int n = 0; n < count; n++) {
            int t = reversed ? count - 1 - n : n;
            if (fibres[t].state != READY) continue;
            current = t;
            threadIdx = fibres[t].index;
            swapcontext(&scheduler, &fibres[t].context);
        }
        int done = 0, at_barrier = 0, released = 0;
        for (auto& f : fibres) done += f.state == DONE, at_barrier += f.state == AT_BARRIER;
        if (done == count) {
            for (auto& f : fibres)
                for (auto& group : f.copies)
                    if (!group.empty()) return "a copy was never waited for";
            return nullptr;
        }
        for (int warp = 0; warp < count; warp += 32) {
            int voting = 0, lanes = min(32, count - warp);
            for (int t = warp; t < warp + lanes; t++) voting += fibres[t].state == AT_VOTE;
            if (voting == 0) continue;
            if (voting < lanes) return "a lane is missing from a vote";
            for (int t = warp; t < warp + lanes; t++) fibres[t].state = READY;
            released = 1;
        }
        if (released) continue;
        if (at_barrier < count) return "a thread is missing from a barrier";
        for (auto& f : fibres) f.state = READY;
    }
}

static const char* run_grid(void (*kernel)(void**), const int* sizes, void** arguments, bool fibred, bool reversed) {
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    body = kernel;
    body_arguments = arguments;
    int blocks = gridDim.x * gridDim.y * gridDim.z, threads = blockDim.x * blockDim.y * blockDim.z;
    for (int n = 0; n < blocks; n++) {
        int b = reversed ? blocks - 1 - n : n;
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        if (fibred) {
            if (const char* wrong = run_block(reversed)) return wrong;
            continue;
        }
        for (int m = 0; m < threads; m++) {
            int t = reversed ? threads - 1 - m : m;
            threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
            kernel(arguments);
        }
    }
    return nullptr;
}
