// Every kernel here is wrong in one way, or is the right twin (good_...) of one that is.
#include <cuda_pipeline_primitives.h>

#define KERNEL extern "C" __global__ void

KERNEL missing_syncthreads(const float* x, float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[63 - threadIdx.x];
}
KERNEL good_syncthreads(const float* x, float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[63 - threadIdx.x];
}

KERNEL missing_second_barrier(const float* x, float* y, int n) {
    __shared__ float s[64];
    float sum = 0.f;
    for (int k = 0; k < n; k++) {
        s[threadIdx.x] = x[k * 64 + threadIdx.x];
        __syncthreads();
        sum += s[(threadIdx.x + 33) % 64];
    }
    y[threadIdx.x] = sum;
}
KERNEL good_second_barrier(const float* x, float* y, int n) {
    __shared__ float s[64];
    float sum = 0.f;
    for (int k = 0; k < n; k++) {
        s[threadIdx.x] = x[k * 64 + threadIdx.x];
        __syncthreads();
        sum += s[(threadIdx.x + 33) % 64];
        __syncthreads();
    }
    y[threadIdx.x] = sum;
}

KERNEL missing_syncwarp(const float* x, float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL good_syncwarp(const float* x, float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL good_syncwarp_half(const float* x, float* y) {
    __shared__ float s[64];
    unsigned half = threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u;
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp(half);
    y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL syncwarp_wrong_half(const float* x, float* y) {
    __shared__ float s[64];
    unsigned half = threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u;
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp(half);
    y[threadIdx.x] = s[threadIdx.x ^ 16];
}

KERNEL read_past_end(const float* x, float* y, int n) {
    if (threadIdx.x <= n) y[threadIdx.x] = x[threadIdx.x];
}
KERNEL good_read(const float* x, float* y, int n) {
    if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x];
}

KERNEL static_shared_overrun(const float* x, float* y) {
    __shared__ float s[64], next[64];
    s[threadIdx.x] = x[threadIdx.x];
    next[threadIdx.x] = 0.f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x + 1] + next[threadIdx.x ^ 1];
}
KERNEL good_static_shared(const float* x, float* y) {
    __shared__ float s[65], next[64];
    s[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x == 0) s[64] = 0.f;
    next[threadIdx.x] = 0.f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x + 1] + next[threadIdx.x ^ 1];
}

KERNEL dynamic_shared(const float* x, float* y) {
    extern __shared__ float s[];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[63 - threadIdx.x];
}

KERNEL divergent_barrier(const float* x, float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x < 40) __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}
KERNEL good_uniform_barrier(const float* x, float* y, int n) {
    if (n > 3) __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}

KERNEL different_barriers(const float* x, volatile float* y) {
    if (threadIdx.x < 32) {
        __syncthreads();
        y[threadIdx.x] = x[threadIdx.x];
    } else if (threadIdx.x < 64) {
        y[threadIdx.x] = x[threadIdx.x] * 2.f;
        __syncthreads();
    } else {
        while (y[0] != 12345.f) {}
    }
}
KERNEL good_spin(volatile int* flag, int* y) {
    // The spinning thread comes first, its partner later in the program.
    if (threadIdx.x % 32 == 0) {
        while (*flag == 0) {}
        y[0] = 7;
    } else if (threadIdx.x % 32 == 1) {
        *flag = 1;
    }
}
KERNEL spin_for_ever(volatile int* flag, int* y) {
    while (*flag == 0) {}
    y[threadIdx.x] = 1;
}

KERNEL half_warp_shuffle(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (threadIdx.x < 16) v += __shfl_down_sync(~0u, v, 1);
    y[threadIdx.x] = v;
}
KERNEL shuffle_outside_mask(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (threadIdx.x < 16) v += __shfl_sync(0xffffu, v, threadIdx.x + 8);
    y[threadIdx.x] = v;
}
KERNEL shuffle_across_masks(const float* x, float* y) {
    unsigned half = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
    y[threadIdx.x] = __shfl_xor_sync(half, x[threadIdx.x], 16);
}
KERNEL good_shuffle_in_halves(const float* x, float* y) {
    unsigned half = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
    y[threadIdx.x] = __shfl_xor_sync(half, x[threadIdx.x], 8);
}
KERNEL shuffle_not_in_mask(const float* x, float* y) {
    y[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], 1);
}
KERNEL good_half_shuffle(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (threadIdx.x < 16) v += __shfl_xor_sync(0xffffu, v, 8);
    y[threadIdx.x] = v;
}
KERNEL shuffle_deadlock(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (threadIdx.x < 16) v += __shfl_xor_sync(~0u, v, 1);
    __syncthreads();
    y[threadIdx.x] = v;
}

KERNEL misaligned(const float* x, float4* y) {
    y[threadIdx.x] = *(const float4*)(x + 4 * threadIdx.x + 1);
}
KERNEL good_aligned(const float* x, float4* y) {
    y[threadIdx.x] = *(const float4*)(x + 4 * threadIdx.x);
}

KERNEL uninitialized_shared(const float* x, float* y) {
    __shared__ float s[64];
    if (threadIdx.x < 63) s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x ^ 1];
}

KERNEL async_without_wait(const float4* x, float4* y) {
    __shared__ float4 s[64];
    __pipeline_memcpy_async(&s[threadIdx.x], x + threadIdx.x, 16);
    __pipeline_commit();
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}
KERNEL async_wait_too_few(const float4* x, float4* y) {
    __shared__ float4 s[64];
    __pipeline_memcpy_async(&s[threadIdx.x], x + threadIdx.x, 16);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}
KERNEL async_without_barrier(const float4* x, float4* y) {
    __shared__ float4 s[64];
    __pipeline_memcpy_async(&s[threadIdx.x], x + threadIdx.x, 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    y[threadIdx.x] = s[63 - threadIdx.x];
}
KERNEL good_async(const float4* x, float4* y) {
    __shared__ float4 s[64];
    __pipeline_memcpy_async(&s[threadIdx.x], x + threadIdx.x, 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    y[threadIdx.x] = s[63 - threadIdx.x];
}

KERNEL two_blocks_one_element(const float* x, float* y) {
    y[(blockIdx.x * 64 + threadIdx.x) % 127] = x[threadIdx.x];
}
KERNEL good_blocks(const float* x, float* y) {
    y[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x];
}
KERNEL missing_barrier_for_global(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x];
    y[64 + threadIdx.x] = y[63 - threadIdx.x];
}
KERNEL good_barrier_for_global(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[64 + threadIdx.x] = y[63 - threadIdx.x];
}
KERNEL block_reads_anothers(const float* x, float* y) {
    y[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x * 64] += ((volatile float*)y)[(blockIdx.x * 64 + 65) % 128];
}

KERNEL read_by_all_written_by_one(const float* x, float* y) {
    // The writer is one of the readers, and the last of them.
    __shared__ float s;
    if (threadIdx.x == 0) s = x[0];
    __syncthreads();
    float v = s;
    if (threadIdx.x == 63) s = v + 1.f;
    y[threadIdx.x] = v;
}
KERNEL read_twice_written_by_one(const float* x, volatile float* y) {
    __shared__ float s;
    if (threadIdx.x == 0) s = x[0];
    __syncthreads();
    if (threadIdx.x == 0) y[0] = s;
    __syncwarp();
    if (threadIdx.x == 33) {
        y[1] = s;
        s = 1.f;
    }
}
KERNEL good_read_then_write(const float* x, volatile float* y) {
    __shared__ float s;
    if (threadIdx.x == 0) s = x[0];
    __syncthreads();
    y[threadIdx.x] = s;
    __syncthreads();
    if (threadIdx.x == 33) s = 1.f;
}

KERNEL good_two_atomics(const int* x, int* bins) {
    atomicAdd(bins + x[threadIdx.x], 1);
    atomicAdd(bins + (x[threadIdx.x] + 1) % 8, 1);
}
KERNEL histogram_plain(const int* x, int* bins) { bins[x[threadIdx.x]] += 1; }
KERNEL good_histogram(const int* x, int* bins) { atomicAdd(bins + x[threadIdx.x], 1); }
KERNEL good_histogram_shared(const int* x, int* bins) {
    __shared__ int s[8];
    if (threadIdx.x < 8) s[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(s + x[threadIdx.x], 1);
    __syncthreads();
    if (threadIdx.x < 8) atomicAdd(bins + threadIdx.x, s[threadIdx.x]);
}
KERNEL atomic_and_plain(const int* x, int* bins) {
    atomicAdd(bins, x[threadIdx.x]);
    if (threadIdx.x == 5) bins[1] = bins[0];
}

KERNEL local_overrun(const int* x, int* y) {
    int a[8];
    for (int i = 0; i < 8; i++) a[i] = i * x[i];
    y[threadIdx.x] = a[x[threadIdx.x] * 3];
}

KERNEL __launch_bounds__(64) bounded(float* y) { y[threadIdx.x] = 1.f; }
KERNEL every_kind(float* y, int i, float f, double d, unsigned char c, unsigned long long l) {
    y[threadIdx.x] = i + f + (float)d + c + (float)l;
}
KERNEL static_too_big(float* y) {
    __shared__ float s[10 * 1024];
    extern __shared__ float more[];
    s[threadIdx.x] = more[threadIdx.x] = 0.f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x ^ 1] + more[threadIdx.x ^ 1];
}
KERNEL trapping(float* y) { if (threadIdx.x == 3) asm volatile("trap;"); }
KERNEL printing(float* y) { printf("%f\n", y[0]); }
KERNEL read_only_written(const float* __restrict__ x, float* y) { y[threadIdx.x] = x[threadIdx.x ^ 1]; }
