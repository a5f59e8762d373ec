/* The norm of each pixel on bfloat16 rows, at the speed of memory: sums of squares by dot products, SiLU in two dozen
 * instructions a vector. Only for CPUs with AVX512-BF16; the others run the plain loops of kernels.inl.
 *
 * A row's bits depend on the row alone. */
#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16,no-prefer-256-bit"))), apply_to = function)

#define LOOP for (ck_int i = 0; i < c; i += 32)

static inline __mmask32 tail(ck_int i, ck_int c) {
  return c - i >= 32 ? 0xffffffffu : (1u << (c - i)) - 1;
}
static inline __m512i load(const uint16_t *p, __mmask32 m) { return _mm512_maskz_loadu_epi16(m, p); }
static inline __m512 low(__m512i v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(v)), 16));
}
static inline __m512 high(__m512i v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1)), 16));
}
static inline void store(uint16_t *p, __mmask32 m, __m512 lo, __m512 hi) {
  _mm512_mask_storeu_epi16(p, m, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
}

/* 1 / (1 + e^-u), relative error below 1e-6. */
static inline __m512 sigmoid(__m512 u) {
  const __m512 x = _mm512_mul_ps(u, _mm512_set1_ps(-1.44269504088896341f));
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.33335581e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55032981e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40226462e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147182e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  /* At most 1e37, so that the step below never multiplies infinity by zero. */
  const __m512 d = _mm512_min_ps(_mm512_add_ps(_mm512_scalef_ps(p, n), _mm512_set1_ps(1.0f)), _mm512_set1_ps(1e37f));
  const __m512 near = _mm512_rcp14_ps(d);
  return _mm512_mul_ps(near, _mm512_fnmadd_ps(d, near, _mm512_set1_ps(2.0f)));
}

/* 1 / sqrt(mean square + eps). */
static inline float inverse_of(const uint16_t *x, float eps, ck_int c) {
  __m512 a = _mm512_setzero_ps(), b = a;
  ck_int i = 0;
  for (; i + 64 <= c; i += 64) {
    const __m512bh v = (__m512bh)_mm512_loadu_si512(x + i), w = (__m512bh)_mm512_loadu_si512(x + i + 32);
    a = _mm512_dpbf16_ps(a, v, v);
    b = _mm512_dpbf16_ps(b, w, w);
  }
  for (; i < c; i += 32) {
    const __m512bh v = (__m512bh)load(x + i, tail(i, c));
    a = _mm512_dpbf16_ps(a, v, v);
  }
  return 1.0f / sqrtf(_mm512_reduce_add_ps(_mm512_add_ps(a, b)) / (float)c + eps);
}

static void factors(const float *gain, const float *scale, const float *shift, float *g, float *s, ck_int c) {
  for (ck_int i = 0; i < c; i++) {
    g[i] = scale ? gain[i] * (1 + scale[i]) : gain[i];
    s[i] = shift ? shift[i] : 0;
  }
  for (ck_int i = c; i < c + 32; i++) g[i] = s[i] = 0;
}

void ck_norm_forward_bf16(const uint16_t *x, const float *gain, const float *scale, const float *shift, float eps,
                          int32_t activate, uint16_t *out, ck_int rows, ck_int c) {
  _Alignas(64) float g[CK_MAX_CHANNELS + 32], s[CK_MAX_CHANNELS + 32];
  factors(gain, scale, shift, g, s, c);
  for (ck_int r = 0; r < rows; r++, x += c, out += c) {
    const __m512 inverse = _mm512_set1_ps(inverse_of(x, eps, c));
    LOOP {
      const __mmask32 m = tail(i, c);
      const __m512i v = load(x + i, m);
      __m512 a = _mm512_fmadd_ps(_mm512_mul_ps(low(v), inverse), _mm512_load_ps(g + i), _mm512_load_ps(s + i));
      __m512 b = _mm512_fmadd_ps(_mm512_mul_ps(high(v), inverse), _mm512_load_ps(g + i + 16), _mm512_load_ps(s + i + 16));
      if (activate) {
        a = _mm512_mul_ps(a, sigmoid(a));
        b = _mm512_mul_ps(b, sigmoid(b));
      }
      store(out + i, m, a, b);
    }
  }
}

/* What comes back through SiLU at u. */
static inline __m512 through(__m512 d, __m512 u, int32_t activate) {
  if (!activate) return d;
  const __m512 one = _mm512_set1_ps(1.0f), sig = sigmoid(u);
  return _mm512_mul_ps(d, _mm512_mul_ps(sig, _mm512_fmadd_ps(u, _mm512_sub_ps(one, sig), one)));
}

void ck_norm_backward_bf16(const uint16_t *x, const float *gain, const float *scale, const float *shift, float eps,
                           int32_t activate, const uint16_t *dout, const uint16_t *add, uint16_t *dx, float *dgain,
                           float *dscale, float *dshift, ck_int rows, ck_int c) {
  _Alignas(64) float g[CK_MAX_CHANNELS + 32], s[CK_MAX_CHANNELS + 32], du[CK_MAX_CHANNELS + 32];
  _Alignas(64) float un[CK_MAX_CHANNELS + 32], us[CK_MAX_CHANNELS + 32]; /* sums of du n / gain and of du */
  factors(gain, scale, shift, g, s, c);
  memset(un, 0, sizeof(float) * (size_t)(c + 32));
  memset(us, 0, sizeof(float) * (size_t)(c + 32));
  for (ck_int r = 0; r < rows; r++, x += c, dout += c, dx += c) {
    const float scalar = inverse_of(x, eps, c);
    const __m512 inverse = _mm512_set1_ps(scalar);
    __m512 dot = _mm512_setzero_ps(), dot2 = dot;
    LOOP {
      const __mmask32 m = tail(i, c);
      const __m512i v = load(x + i, m), d = load(dout + i, m);
      const __m512 na = _mm512_mul_ps(low(v), inverse), nb = _mm512_mul_ps(high(v), inverse);
      const __m512 ga = _mm512_load_ps(g + i), gb = _mm512_load_ps(g + i + 16);
      __m512 da = through(low(d), _mm512_fmadd_ps(na, ga, _mm512_load_ps(s + i)), activate);
      __m512 db = through(high(d), _mm512_fmadd_ps(nb, gb, _mm512_load_ps(s + i + 16)), activate);
      _mm512_store_ps(un + i, _mm512_fmadd_ps(da, na, _mm512_load_ps(un + i)));
      _mm512_store_ps(un + i + 16, _mm512_fmadd_ps(db, nb, _mm512_load_ps(un + i + 16)));
      _mm512_store_ps(us + i, _mm512_add_ps(da, _mm512_load_ps(us + i)));
      _mm512_store_ps(us + i + 16, _mm512_add_ps(db, _mm512_load_ps(us + i + 16)));
      da = _mm512_mul_ps(da, ga);
      db = _mm512_mul_ps(db, gb);
      dot = _mm512_fmadd_ps(da, na, dot);
      dot2 = _mm512_fmadd_ps(db, nb, dot2);
      _mm512_store_ps(du + i, da);
      _mm512_store_ps(du + i + 16, db);
    }
    const __m512 back = _mm512_set1_ps(-scalar * (_mm512_reduce_add_ps(_mm512_add_ps(dot, dot2)) / (float)c));
    LOOP {
      const __mmask32 m = tail(i, c);
      const __m512i v = load(x + i, m);
      __m512 a = _mm512_mul_ps(_mm512_fmadd_ps(low(v), back, _mm512_load_ps(du + i)), inverse);
      __m512 b = _mm512_mul_ps(_mm512_fmadd_ps(high(v), back, _mm512_load_ps(du + i + 16)), inverse);
      if (add) {
        const __m512i more = load(add + i, m);
        a = _mm512_add_ps(a, low(more));
        b = _mm512_add_ps(b, high(more));
      }
      store(dx + i, m, a, b);
    }
    if (add) add += c;
  }
  for (ck_int i = 0; i < c; i++) {
    dgain[i] += scale ? un[i] * (1 + scale[i]) : un[i];
    if (dscale) dscale[i] += un[i] * gain[i];
    if (dshift) dshift[i] += us[i];
  }
}
#pragma clang attribute pop
#endif
