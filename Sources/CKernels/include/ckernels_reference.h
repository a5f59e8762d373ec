/* What each kernel means, in plain scalar double arithmetic on float32 rows: the tests hold the fast kernels against these,
 * in float32 and in bfloat16. */
#ifndef CKERNELS_REFERENCE_H
#define CKERNELS_REFERENCE_H
#include "ckernels.h"

void ckr_norm_forward(const float *x, const float *gain, const float *scale, const float *shift, float eps,
                      int32_t activate, float *out, ck_int rows, ck_int channels);
void ckr_norm_backward(const float *x, const float *gain, const float *scale, const float *shift, float eps,
                       int32_t activate, const float *dout, float *dx, float *dgain, float *dscale, float *dshift,
                       ck_int rows, ck_int channels);
float ckr_silu(float x);
float ckr_silu_gradient(float x);
/* Group norm over [rows, channels] of one sample, `groups` of neighbouring channels each, with SiLU where `activate`. */
void ckr_group_norm(const float *x, const float *gain, const float *bias, float eps, ck_int groups, int32_t activate,
                    float *out, ck_int rows, ck_int channels);
void ckr_layer_norm(const float *x, const float *gain, const float *bias, float eps, float *out, ck_int rows,
                    ck_int channels);
void ckr_geglu(const float *x, float *out, ck_int rows, ck_int channels);
/* softmax(scale q k^T) v for one head: q and out [queries, width], k and v [keys, width]. */
void ckr_attention(const float *q, const float *k, const float *v, float scale, float *out, ck_int queries, ck_int keys,
                   ck_int width);
void ckr_adamw(float *w, const float *gradient, float *m, float *v, float *average, float gradient_scale, float rate,
               float beta1, float beta2, float correction1, float correction2, float eps, float decay,
               float average_decay, ck_int count);
/* Philox4x32-10: ten rounds on one counter. */
void ckr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Convolution of NHWC by OIHW, padding low before and enough after. */
void ckr_conv_forward(const float *x, const float *w, const float *bias, float *out, ck_int batch, ck_int height,
                      ck_int width, ck_int in_channels, ck_int out_height, ck_int out_width, ck_int out_channels,
                      ck_int kernel, ck_int stride, ck_int low, ck_int groups);

/* Elementwise kernels and sums (reference_elementwise.c). */
uint16_t ckr_to_bf16(float f);
float ckr_from_bf16(uint16_t b);
void ckr_axpby(float a, const float *x, float b, const float *y, float *out, ck_int count);
void ckr_blend_forward(const float *h, const float *a, const float *mu, float *out, ck_int rows, ck_int channels);
void ckr_blend_backward(const float *h, const float *a, const float *mu, const float *dout, float *dh, float *da,
                        float *dmu, ck_int rows, ck_int channels);
void ckr_upsample_forward(const float *x, float *out, ck_int height, ck_int width, ck_int channels);
void ckr_upsample_backward(const float *dout, float *dx, ck_int height, ck_int width, ck_int channels);
double ckr_sum_squares(const float *x, const float *y, ck_int count);
void ckr_sum_rows(const float *x, float *sums, ck_int rows, ck_int channels);
/* Philox, then Box-Muller with the libraries' logarithm, sine and cosine. */
void ckr_normal_row(uint64_t key, uint32_t draw, uint32_t x, uint32_t y, double *out, ck_int width, ck_int channels);
#endif
