#ifndef CK_INTERNAL_H
#define CK_INTERNAL_H
#include "ckernels.h"

#include <math.h>
#include <string.h>

#define CK_MAX_CHANNELS 4096

/* One pointer per kernel; every instruction set fills one such table. */
typedef struct ck_table {
#define CK_KERNEL(name, parameters, arguments) void (*name) parameters;
#include "ckernels.inc"
#undef CK_KERNEL
} ck_table;

/* A CK_ISA_…: what is in use. */
int32_t ck_isa_level(void);

extern const ck_table ck_table_base;
#if defined(__x86_64__)
extern const ck_table ck_table_v3, ck_table_v4;

/* Norms of bfloat16 rows where the CPU has AVX512-BF16 (norm_bf16.c). */
void ck_norm_forward_bf16(const uint16_t *x, const float *gain, const float *scale, const float *shift, float eps,
                          int32_t activate, uint16_t *out, ck_int rows, ck_int channels);
void ck_norm_backward_bf16(const uint16_t *x, const float *gain, const float *scale, const float *shift, float eps,
                           int32_t activate, const uint16_t *dout, const uint16_t *add, uint16_t *dx, float *dgain,
                           float *dscale, float *dshift, ck_int rows, ck_int channels);
#endif
#endif
