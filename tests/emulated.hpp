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
static Three gridDim, blockDim, blockIdx, threadIdx;

enum State { READY, AT_BARRIER, AT_VOTE, DONE };
struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    State state;
    int vote;
    Three index;
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

// Returns 0, or what went wrong.
static const char* run_block(bool reversed) {
    int count = blockDim.x * blockDim.y * blockDim.z;
    fibres.resize(count);
    for (int t = 0; t < count; t++) {
        Fibre& f = fibres[t];
        f.stack.resize(1 << 16);
        f.state = READY;
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
        if (done == count) return nullptr;
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
