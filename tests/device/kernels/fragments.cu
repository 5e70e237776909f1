// One warp each: fragments are loaded in the layout that PTX documents, by the test.
#define KERNEL extern "C" __global__ void

#define MMA(NAME, OP, C, CT, D, NA, NB, ...)                                                       \
    KERNEL NAME(const unsigned* a, const unsigned* b, const CT* c, CT* d) {                         \
        int l = threadIdx.x;                                                                       \
        unsigned A[4], B[4];                                                                       \
        CT c4[4], d4[4];                                                                           \
        for (int i = 0; i < NA; i++) A[i] = a[i * 32 + l];                                         \
        for (int i = 0; i < NB; i++) B[i] = b[i * 32 + l];                                         \
        for (int i = 0; i < D; i++) c4[i] = c[i * 32 + l];                                         \
        __VA_ARGS__                                                                                \
        for (int i = 0; i < D; i++) d[i * 32 + l] = d4[i];                                         \
    }

#define D4(X) "=" X(d4[0]), "=" X(d4[1]), "=" X(d4[2]), "=" X(d4[3])
#define OUT_F "=f"(d4[0]), "=f"(d4[1]), "=f"(d4[2]), "=f"(d4[3])
#define OUT_R "=r"(d4[0]), "=r"(d4[1]), "=r"(d4[2]), "=r"(d4[3])
#define IN_F "f"(c4[0]), "f"(c4[1]), "f"(c4[2]), "f"(c4[3])
#define IN_R "r"(c4[0]), "r"(c4[1]), "r"(c4[2]), "r"(c4[3])
#define A4B2 "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "r"(B[0]), "r"(B[1])
#define A2B1 "r"(A[0]), "r"(A[1]), "r"(B[0])
#define TEXT42 " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
#define TEXT21 " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"

MMA(f16_k16, , , float, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" TEXT42 : OUT_F : A4B2, IN_F);)
MMA(f16_k8, , , float, 4, 2, 1,
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32" TEXT21 : OUT_F : A2B1, IN_F);)
MMA(bf16_k16, , , float, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" TEXT42 : OUT_F : A4B2, IN_F);)
MMA(bf16_k8, , , float, 4, 2, 1,
    asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32" TEXT21 : OUT_F : A2B1, IN_F);)
MMA(s8_k32, , , int, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" TEXT42 : OUT_R : A4B2, IN_R);)
MMA(u8_k32, , , int, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32" TEXT42 : OUT_R : A4B2, IN_R);)
MMA(s8_k16, , , int, 4, 2, 1,
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32" TEXT21 : OUT_R : A2B1, IN_R);)
MMA(b1_k256, , , int, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc" TEXT42 : OUT_R : A4B2, IN_R);)
MMA(b1_xor, , , int, 4, 4, 2,
    asm("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc" TEXT42 : OUT_R : A4B2, IN_R);)
MMA(f16_f16, , , unsigned, 2, 4, 2,
    asm("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%8,%9};"
        : "=r"(d4[0]), "=r"(d4[1]) : A4B2, "r"(c4[0]), "r"(c4[1]));)

// Metadata is behind B.
MMA(sparse_k32, , , float, 4, 4, 4, unsigned e = b[4 * 32 + l];
    asm("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%12,%13,%14,%15}, %16, 0x0;"
        : OUT_F : A4B2, "r"(B[2]), "r"(B[3]), IN_F, "r"(e));)
MMA(sparse_k32_bf16, , , float, 4, 4, 4, unsigned e = b[4 * 32 + l];
    asm("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%12,%13,%14,%15}, %16, 0x1;"
        : OUT_F : A4B2, "r"(B[2]), "r"(B[3]), IN_F, "r"(e));)

#define LDMATRIX(NAME, OP, N, OUTS, TEXT)                                                          \
    KERNEL NAME(const uint4* x, unsigned* y) {                                                     \
        __shared__ uint4 s[32];                                                                    \
        unsigned r[4] = {0, 0, 0, 0};                                                              \
        s[threadIdx.x] = x[threadIdx.x];                                                           \
        __syncwarp();                                                                              \
        unsigned at = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x ^ 5]);                     \
        asm volatile(OP TEXT : OUTS : "r"(at));                                                    \
        for (int i = 0; i < N; i++) y[i * 32 + threadIdx.x] = r[i];                                \
    }
#define R1 "=r"(r[0])
#define R2 R1, "=r"(r[1])
#define R4 R2, "=r"(r[2]), "=r"(r[3])
LDMATRIX(ldmatrix_x1, "ldmatrix.sync.aligned.m8n8.x1.shared.b16 ", 1, R1, "{%0}, [%1];")
LDMATRIX(ldmatrix_x2, "ldmatrix.sync.aligned.m8n8.x2.shared.b16 ", 2, R2, "{%0,%1}, [%2];")
LDMATRIX(ldmatrix_x4, "ldmatrix.sync.aligned.m8n8.x4.shared.b16 ", 4, R4, "{%0,%1,%2,%3}, [%4];")
LDMATRIX(ldmatrix_x4_trans, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 ", 4, R4,
         "{%0,%1,%2,%3}, [%4];")
KERNEL ldmatrix_half_warp(const uint4* x, unsigned* y) {
    __shared__ uint4 s[32];
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    if (threadIdx.x < 16) {
        unsigned r, at = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r) : "r"(at));
        y[threadIdx.x] = r;
    }
}
