/* Chooses how attention of bfloat16 is computed. CPUs without dot products of it go through BLAS (Attention.swift). */
#include "attention.h"

static const ck_attention_kernels *kernels(void) {
#if defined(__x86_64__)
  if (ck_isa_level() >= CK_ISA_AMX) return &ck_attention_amx;
  if (ck_isa_level() >= CK_ISA_BF16) return &ck_attention_bf16;
#endif
  return NULL;
}

int32_t ck_has_attention(ck_int width) {
  return kernels() && width > 0 && width % 2 == 0 && width <= CK_ATTENTION_MAX_WIDTH;
}

size_t ck_attention_packed_bytes(ck_int keys, ck_int width) { return kernels()->packed_bytes(keys, width); }

void ck_attention_pack(const void *k, const void *v, ck_int stride, ck_int keys, ck_int width, void *packed) {
  kernels()->pack(k, v, stride, keys, width, packed);
}

ck_int ck_attention_block(void) { return kernels()->block; }

void ck_attention(const void *q, ck_int q_stride, const void *packed, ck_int keys, float scale, void *out,
                  ck_int out_stride, ck_int queries, ck_int width) {
  kernels()->run(q, q_stride, packed, keys, scale * 1.44269504088896341f, out, out_stride, queries, width);
}
