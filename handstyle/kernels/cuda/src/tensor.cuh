// Instructions for tensor cores and asynchronous copies, which C++ cannot express. The emulation on a CPU has its own file.
#ifdef __CUDACC__

// Dynamic shared memory, needed beyond 48 KB; its size is given at the launch.
#define SHARED_ON_DEMAND(name, bytes) extern __shared__ float4 name[]

// Round to the nearest value with ten bits of mantissa; the tensor cores would truncate.
__device__ __forceinline__ float to_tf32(float a) {
    unsigned int bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(a));
    return __uint_as_float(bits);
}

// d (16, 8) += a (16, 8) b (8, 8), by a whole warp. With g = lane / 4 and t = lane % 4, a lane holds
// a0..3 = a[g, t], a[g+8, t], a[g, t+4], a[g+8, t+4] and b0..1 = b[t, g], b[t+4, g],
// and receives d[0..3] = d[g, 2t], d[g, 2t+1], d[g+8, 2t], d[g+8, 2t+1].
__device__ __forceinline__ void mma_16x8x8(
    float (&d)[4], float a0, float a1, float a2, float a3, float b0, float b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(a2)), "r"(__float_as_uint(a3)),
          "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

// Copy 16 bytes to shared memory asynchronously; the first `bytes` (16 or 0) are read, the others are set to zero.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((unsigned int)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(bytes)
                 : "memory");
}

// The copies since the last commit form a group; wait until all groups of this thread but the last n are complete.
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int n>
__device__ __forceinline__ void wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

#endif
