/* Fused kernels around the convolutions, each on a range of rows so that the caller decides about threads.
 *
 * Layout is NHWC: a "row" is one pixel's channels. Types are float32 or bfloat16 in memory; arithmetic is float32 and sums
 * over more than one row are double. Every kernel exists once, is compiled for each instruction set, and is chosen at run
 * time; ckernels_reference.h has a plain scalar version of each. No kernel checks its arguments: `Tensor` does. */
#ifndef CKERNELS_H
#define CKERNELS_H
#include <stddef.h>
#include <stdint.h>

typedef enum __attribute__((enum_extensibility(closed))) ck_type : int32_t { CK_F32 = 0, CK_BF16 = 1 } ck_type;
typedef int64_t ck_int;

/* Runs body(context, thread, threads) on every thread of libgomp's pool of the calling thread: the pool oneDNN uses. */
void ck_parallel(void (*body)(void *context, int32_t thread, int32_t threads), void *context);
int32_t ck_threads(void);
/* Sets how many threads parallel regions of the calling thread use from now on, oneDNN's too. */
void ck_set_threads(int32_t threads);

#define CK_KERNEL(name, parameters, arguments) void name parameters;
#include "ckernels.inc"
#undef CK_KERNEL

/* Attention of bfloat16 queries over bfloat16 keys and values of one head, out = softmax(scale q k^T) v, rows `stride`
 * elements apart. Only where ck_has_attention(width) is 1; pack k and v once, then give every thread its queries, in
 * multiples of ck_attention_block() so that none is wasted. */
int32_t ck_has_attention(ck_int width);
size_t ck_attention_packed_bytes(ck_int keys, ck_int width);
void ck_attention_pack(const void *k, const void *v, ck_int stride, ck_int keys, ck_int width, void *packed);
ck_int ck_attention_block(void);
void ck_attention(const void *q, ck_int q_stride, const void *packed, ck_int keys, float scale, void *out,
                  ck_int out_stride, ck_int queries, ck_int width);

/* Gradient of a convolution's weights from bfloat16 x (NHWC) and dout, float32 sums. Only where ck_has_weight_gradient(p) is
 * 1. Give every thread some of the parts, each with a scratch of ck_weight_gradient_bytes(p) rounded up to 64, one behind the
 * other; then finish writes dw (OIHW) and db (may be NULL) of output channels first ..< last. */
typedef struct ck_gradient {
  ck_int batch, height, width, in, out_height, out_width, out, kernel, stride, pad;
} ck_gradient;
int32_t ck_has_weight_gradient(const ck_gradient *p);
ck_int ck_weight_gradient_parts(const ck_gradient *p);
size_t ck_weight_gradient_bytes(const ck_gradient *p);
void ck_weight_gradient_part(const ck_gradient *p, const void *x, const void *dout, ck_int part, void *scratch);
void ck_weight_gradient_finish(const ck_gradient *p, const void *scratch, float *dw, float *db, ck_int first, ck_int last);

/* Instruction sets, each with those before it: AVX2, AVX-512, its bfloat16 dot products, AMX tiles of bfloat16. */
enum { CK_ISA_BASE = 0, CK_ISA_V3 = 1, CK_ISA_V4 = 2, CK_ISA_BF16 = 3, CK_ISA_AMX = 4 };
/* Name of the one in use. ck_limit_isa, and CODI_MAX_ISA by number, lower it for tests; call before any kernel. */
const char *ck_isa_name(void);
void ck_limit_isa(int32_t limit);
/* 1 when kernels use bfloat16 dot products. */
int32_t ck_has_bf16(void);
#endif
