/* All kernels for one instruction set. Included with ISA(name) defined, inside that set's target attribute. */
#include "kernels_common.inl"

#define T float
#define LOAD(p, i) ((p)[i])
#define STORE(p, i, f) ((p)[i] = (f))
#define NAME(n) n##_f32
#include "kernels.inl"
#include "norms.inl"
#undef T
#undef LOAD
#undef STORE
#undef NAME

#define T uint16_t
#define LOAD(p, i) bf16_to_float((p)[i])
#define STORE(p, i, f) ((p)[i] = float_to_bf16(f))
#define NAME(n) n##_bf16
#include "kernels.inl"
#include "norms.inl"
#undef T
#undef LOAD
#undef STORE
#undef NAME

#define PICK(n, ...)                     \
  if (type == CK_BF16) n##_bf16(__VA_ARGS__); \
  else n##_f32(__VA_ARGS__)

static void ISA(ck_convert)(ck_type from, const void *in, ck_type to, void *out, ck_int count) {
  if (from == to) {
    memcpy(out, in, (size_t)count * (from == CK_BF16 ? 2 : 4));
  } else if (from == CK_F32) {
    const float *restrict x = in;
    uint16_t *restrict y = out;
    for (ck_int i = 0; i < count; i++) y[i] = float_to_bf16(x[i]);
  } else {
    const uint16_t *restrict x = in;
    float *restrict y = out;
    for (ck_int i = 0; i < count; i++) y[i] = bf16_to_float(x[i]);
  }
}
static void ISA(ck_axpby)(ck_type type, float a, const void *x, float b, const void *y, void *out, ck_int count) {
  PICK(axpby, a, x, b, y, out, count);
}
static void ISA(ck_norm_forward)(ck_type type, const void *x, const float *gain, const float *scale, const float *shift,
                                 float eps, int32_t activate, void *out, ck_int rows, ck_int channels) {
#ifdef CK_FAST_BF16_NORMS
  if (type == CK_BF16 && ck_has_bf16())
    return ck_norm_forward_bf16(x, gain, scale, shift, eps, activate, out, rows, channels);
#endif
  PICK(norm_forward, x, gain, scale, shift, eps, activate, out, rows, channels);
}
static void ISA(ck_norm_backward)(ck_type type, const void *x, const float *gain, const float *scale, const float *shift,
                                  float eps, int32_t activate, const void *dout, const void *add, void *dx, float *dgain,
                                  float *dscale, float *dshift, ck_int rows, ck_int channels) {
#ifdef CK_FAST_BF16_NORMS
  if (type == CK_BF16 && ck_has_bf16())
    return ck_norm_backward_bf16(x, gain, scale, shift, eps, activate, dout, add, dx, dgain, dscale, dshift, rows, channels);
#endif
  PICK(norm_backward, x, gain, scale, shift, eps, activate, dout, add, dx, dgain, dscale, dshift, rows, channels);
}
static void ISA(ck_channel_moments)(ck_type type, const void *x, float *sums, ck_int rows, ck_int channels) {
  PICK(channel_moments, x, sums, rows, channels);
}
static void ISA(ck_affine_forward)(ck_type type, const void *x, const float *a, const float *b, int32_t activate, void *out,
                                   ck_int rows, ck_int channels) {
  PICK(affine_forward, x, a, b, activate, out, rows, channels);
}
static void ISA(ck_affine_moments)(ck_type type, const void *x, const float *a, const float *b, int32_t activate,
                                   const void *dout, float *sums, ck_int rows, ck_int channels) {
  PICK(affine_moments, x, a, b, activate, dout, sums, rows, channels);
}
static void ISA(ck_affine_backward)(ck_type type, const void *x, const float *a, const float *b, const float *p,
                                    const float *q, int32_t activate, const void *dout, void *dx, ck_int rows,
                                    ck_int channels) {
  PICK(affine_backward, x, a, b, p, q, activate, dout, dx, rows, channels);
}
static void ISA(ck_layer_norm_forward)(ck_type type, const void *x, const float *gain, const float *bias, float eps,
                                       void *out, ck_int rows, ck_int channels) {
  PICK(layer_norm_forward, x, gain, bias, eps, out, rows, channels);
}
static void ISA(ck_layer_norm_backward)(ck_type type, const void *x, const float *gain, float eps, const void *dout,
                                        void *dx, float *dgain, float *dbias, ck_int rows, ck_int channels) {
  PICK(layer_norm_backward, x, gain, eps, dout, dx, dgain, dbias, rows, channels);
}
static void ISA(ck_geglu_forward)(ck_type type, const void *x, void *out, ck_int rows, ck_int channels) {
  PICK(geglu_forward, x, out, rows, channels);
}
static void ISA(ck_geglu_backward)(ck_type type, const void *x, const void *dout, void *dx, ck_int rows, ck_int channels) {
  PICK(geglu_backward, x, dout, dx, rows, channels);
}

static void ISA(ck_softmax_rows)(float *restrict x, float scale, ck_int rows, ck_int count, ck_int stride) {
#pragma clang fp reassociate(on) contract(fast)
  for (ck_int r = 0; r < rows; r++, x += stride) {
    float most = x[0], sum = 0;
    for (ck_int i = 1; i < count; i++) most = x[i] > most ? x[i] : most;
    for (ck_int i = 0; i < count; i++) sum += x[i] = ck_exp((x[i] - most) * scale);
    const float share = 1 / sum;
    for (ck_int i = 0; i < count; i++) x[i] *= share;
  }
}

static void ISA(ck_softmax_rows_backward)(const float *restrict p, float *restrict dp, float scale, ck_int rows,
                                          ck_int count, ck_int stride) {
#pragma clang fp reassociate(on) contract(fast)
  for (ck_int r = 0; r < rows; r++, p += stride, dp += stride) {
    float dot = 0;
    for (ck_int i = 0; i < count; i++) dot += p[i] * dp[i];
    for (ck_int i = 0; i < count; i++) dp[i] = scale * p[i] * (dp[i] - dot);
  }
}

static void ISA(ck_silu_forward)(ck_type type, const void *x, void *out, ck_int count) {
  PICK(silu_forward, x, out, count);
}
static void ISA(ck_silu_backward)(ck_type type, const void *x, const void *dout, void *dx, ck_int count) {
  PICK(silu_backward, x, dout, dx, count);
}
static void ISA(ck_blend_forward)(ck_type type, const void *h, const void *a, const float *mu, void *out, ck_int rows,
                                  ck_int channels) {
  PICK(blend_forward, h, a, mu, out, rows, channels);
}
static void ISA(ck_blend_backward)(ck_type type, const void *h, const void *a, const float *mu, const void *dout, void *dh,
                                   void *da, float *dmu, ck_int rows, ck_int channels) {
  PICK(blend_backward, h, a, mu, dout, dh, da, dmu, rows, channels);
}
static void ISA(ck_join)(ck_type type, const void *h, const void *core, const void *mine, const float *mu, void *out,
                         ck_int rows, ck_int c, ck_int d) {
  PICK(join, h, core, mine, mu, out, rows, c, d);
}
static void ISA(ck_join_backward)(ck_type type, const void *core, const void *mine, const float *mu, const void *dout,
                                  void *dh, void *dcore, void *dmine, float *dmu, ck_int rows, ck_int c, ck_int d) {
  PICK(join_backward, core, mine, mu, dout, dh, dcore, dmine, dmu, rows, c, d);
}
static void ISA(ck_upsample_forward)(ck_type type, const void *x, void *out, ck_int height, ck_int width, ck_int channels) {
  PICK(upsample_forward, x, out, height, width, channels);
}
static void ISA(ck_upsample_backward)(ck_type type, const void *dout, void *dx, ck_int height, ck_int width,
                                      ck_int channels) {
  PICK(upsample_backward, dout, dx, height, width, channels);
}
static void ISA(ck_sum_squares)(ck_type type, const void *x, const void *y, ck_int count, double *out) {
  *out = type == CK_BF16 ? sum_squares_bf16(x, y, count) : sum_squares_f32(x, y, count);
}
static void ISA(ck_sum_rows)(ck_type type, const void *x, float *sums, ck_int rows, ck_int channels) {
  PICK(sum_rows, x, sums, rows, channels);
}

static void ISA(ck_adamw)(float *restrict w, const float *restrict gradient, float *restrict m, float *restrict v,
                          float *restrict average, float gradient_scale, float rate, float beta1, float beta2,
                          float correction1, float correction2, float eps, float decay, float average_decay,
                          ck_int count) {
  for (ck_int i = 0; i < count; i++) {
    float g = gradient[i] * gradient_scale;
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    w[i] -= rate * (m[i] * correction1 / (sqrtf(v[i] * correction2) + eps) + decay * w[i]);
  }
  if (average)
    for (ck_int i = 0; i < count; i++) average[i] += (1 - average_decay) * (w[i] - average[i]);
}

static void ISA(ck_normal_row)(uint64_t key, uint32_t draw, uint32_t x, uint32_t y, float *restrict out, ck_int width,
                               ck_int channels) {
  for (ck_int first = 0; first < channels; first += 4) {
    const ck_int lanes = channels - first < 4 ? channels - first : 4;
    for (ck_int from = 0; from < width; from += NORMAL_BLOCK) {
      const ck_int n = width - from < NORMAL_BLOCK ? width - from : NORMAL_BLOCK;
      float block[4][NORMAL_BLOCK];
      normal_block(key, draw, x + (uint32_t)from, y, (uint32_t)(first / 4), block, n);
      for (ck_int lane = 0; lane < lanes; lane++)
        for (ck_int i = 0; i < n; i++) out[(from + i) * channels + first + lane] = block[lane][i];
    }
  }
}

const ck_table ISA(ck_table) = {
#define CK_KERNEL(name, parameters, arguments) .name = ISA(name),
#include "include/ckernels.inc"
#undef CK_KERNEL
};
