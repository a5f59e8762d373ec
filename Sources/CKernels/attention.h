#ifndef CK_ATTENTION_H
#define CK_ATTENTION_H
#include "internal.h"

enum { CK_ATTENTION_MAX_WIDTH = 512 };

/* One way to compute attention of bfloat16; `scale` includes log2 e. */
typedef struct ck_attention_kernels {
  ck_int block; /* queries that it takes at once */
  size_t (*packed_bytes)(ck_int keys, ck_int width);
  void (*pack)(const uint16_t *k, const uint16_t *v, ck_int stride, ck_int keys, ck_int width, uint16_t *packed);
  void (*run)(const uint16_t *q, ck_int q_stride, const uint16_t *packed, ck_int keys, float scale, uint16_t *out,
              ck_int out_stride, ck_int queries, ck_int width);
} ck_attention_kernels;

#if defined(__x86_64__)
extern const ck_attention_kernels ck_attention_amx, ck_attention_bf16;
#endif
#endif
