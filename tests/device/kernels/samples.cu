// Kernels in the manner of the fast path, each with another mix of instructions.
#include <cuda_fp16.h>

extern "C" __global__ void __launch_bounds__(256)
block_sum(const float* __restrict__ x, float* out, int n) {
    __shared__ float part[8];
    float s = 0.f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) s += x[i];
    for (int d = 16; d; d >>= 1) s += __shfl_down_sync(~0u, s, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x < 32) {
        s = threadIdx.x < 8 ? part[threadIdx.x] : 0.f;
        for (int d = 4; d; d >>= 1) s += __shfl_down_sync(~0u, s, d);
        if (threadIdx.x == 0) out[blockIdx.x] = s;
    }
}

extern "C" __global__ void pack_signs(const float* __restrict__ w, unsigned* bits, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned word = __ballot_sync(~0u, i < n && w[i] >= 0.f);
    if (threadIdx.x % 32 == 0 && i < n) bits[i / 32] = word;
}

// y = (scale of the row) * sum of +-x: a warp per row, four words of 32 signs at a time.
extern "C" __global__ void __launch_bounds__(128)
gemv_1bit(const uint4* __restrict__ bits, const float* __restrict__ scale,
          const float* __restrict__ x, float* y, int rows, int words4) {
    extern __shared__ float xs[];
    for (int i = threadIdx.x; i < words4 * 128; i += blockDim.x) xs[i] = x[i];
    __syncthreads();
    int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
    float s = 0.f;
    if (row < rows)
        for (int k = lane; k < words4; k += 32) {
            uint4 q = bits[row * words4 + k];
            const unsigned word[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int b = 0; b < 32; b++) {
                    unsigned sign = (~word[j] << (31 - b)) & 0x80000000u;
                    s += __uint_as_float(__float_as_uint(xs[k * 128 + j * 32 + b]) ^ sign);
                }
        }
    for (int d = 16; d; d >>= 1) s += __shfl_xor_sync(~0u, s, d);
    if (lane == 0 && row < rows) y[row] = s * scale[row];
}

extern "C" __global__ void bgemm_popc(const unsigned* __restrict__ a, const unsigned* __restrict__ b,
                                      int* c, int n, int words) {
    __shared__ unsigned as[16][17], bs[16][17];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x, sum = 0;
    for (int k = 0; k < words; k += 16) {
        as[threadIdx.y][threadIdx.x] = a[row * words + k + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(blockIdx.x * 16 + threadIdx.y) * words + k + threadIdx.x];
        __syncthreads();
#pragma unroll
        for (int j = 0; j < 16; j++) sum += __popc(as[threadIdx.y][j] ^ bs[threadIdx.x][j]);
        __syncthreads();
    }
    c[row * n + column] = 32 * words - 2 * sum;
}

// C (m x n) = A (m x k) B (n x k)^T with cp.async, ldmatrix and mma: a warp per 16 x 8 tile.
extern "C" __global__ void gemm_mma(const half* __restrict__ a, const half* __restrict__ b,
                                    float* c, int n, int k) {
    __shared__ __align__(16) half as[2][16][24], bs[2][8][24];
    int lane = threadIdx.x, row0 = blockIdx.y * 16, column0 = blockIdx.x * 8;
    float d[4] = {0.f, 0.f, 0.f, 0.f};
    auto fetch = [&](int stage, int k0) {
        unsigned to = (unsigned)__cvta_generic_to_shared(&as[stage][lane / 2][lane % 2 * 8]);
        const half* from = a + (row0 + lane / 2) * k + k0 + lane % 2 * 8;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
        if (lane < 16) {
            to = (unsigned)__cvta_generic_to_shared(&bs[stage][lane / 2][lane % 2 * 8]);
            from = b + (column0 + lane / 2) * k + k0 + lane % 2 * 8;
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
        }
        asm volatile("cp.async.commit_group;");
    };
    fetch(0, 0);
    for (int k0 = 0; k0 < k; k0 += 16) {
        int stage = k0 / 16 & 1;
        if (k0 + 16 < k) {
            fetch(stage ^ 1, k0 + 16);
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncwarp();
        unsigned fa[4], fb[2];
        unsigned at = (unsigned)__cvta_generic_to_shared(&as[stage][lane % 16][lane / 16 * 8]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(at));
        at = (unsigned)__cvta_generic_to_shared(&bs[stage][lane % 8][lane / 8 % 2 * 8]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                     : "=r"(fb[0]), "=r"(fb[1]) : "r"(at));
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
        __syncwarp();
    }
    int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; i++) c[(row0 + g + i / 2 * 8) * n + column0 + 2 * t + i % 2] = d[i];
}

// A deliberately mixed bag: local arrays, doubles, half2, calls, a switch, 64-bit division.
struct Pair { int count; float bias; };
__constant__ float table[4] = {1.f, 2.f, 3.f, 4.f};
__device__ __noinline__ float2 helper(float a, int b) {
    float2 r;
    r.x = sqrtf(a) * b;
    r.y = a / b;
    return r;
}
extern "C" __global__ void mixed(const half2* h, half2* o, double* d, Pair p, unsigned long long* q) {
    extern __shared__ float dynamic[];
    int t = threadIdx.x;
    o[t] = __hfma2(h[t], h[t], __float2half2_rn(p.bias));
    float2 r = helper(t, p.count);
    d[t] = fma((double)r.x, 2.0, (double)r.y) + table[t & 3];
    int array[8];
    for (int i = 0; i < 8; i++) array[i] = i * t;
    q[t] = array[(t * 7) & 7] * 12345678912345ULL / (unsigned long long)(t + 3);
    switch (t) {
        case 0: q[t] += 5; break;
        case 1: q[t] *= 7; break;
        case 2: q[t] ^= 9; break;
        case 3: q[t] <<= 3; break;
        case 4: q[t] %= 11; break;
        case 5: q[t] += 4; break;
        case 7: q[t] = 3;
    }
    unsigned peers = __match_any_sync(~0u, t / 3);
    int most = __reduce_max_sync(~0u, t ^ 5);
    dynamic[t] = t;
    __syncwarp();
    q[t] += (unsigned long long)dynamic[t ^ 1] + peers + most + __syncthreads_count(t & 1);
}
