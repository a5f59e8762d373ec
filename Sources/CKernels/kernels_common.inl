/* Scalars that every kernel shares, written so that loops around them vectorise. */

static inline float bf16_to_float(uint16_t b) {
  union { uint32_t u; float f; } v = {.u = (uint32_t)b << 16};
  return v.f;
}

/* Round to nearest, ties to even; a NaN stays a NaN. */
static inline uint16_t float_to_bf16(float f) {
  union { float f; uint32_t u; } v = {.f = f};
  uint32_t rounded = (v.u + 0x7fffu + ((v.u >> 16) & 1u)) >> 16;
  uint32_t nan = (v.u >> 16) | 0x40u;
  return (uint16_t)((v.u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

/* exp(x) for x in [-87, 88], relative error below 2e-7: 2^n times a degree-6 polynomial on [-ln2/2, ln2/2]. */
static inline float ck_exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  float n = rintf(x * 1.44269504088896341f);
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  union { int32_t i; float f; } scale = {.i = ((int32_t)n + 127) << 23};
  return p * scale.f;
}

static inline float ck_sigmoid(float x) { return 1.0f / (1.0f + ck_exp(-x)); }

/* The normal distribution function, (1 + erf(x / sqrt 2)) / 2; absolute error below 2e-7 (Abramowitz and Stegun 7.1.26). */
static inline float ck_normal_cdf(float x) {
  const float z = fabsf(x) * 0.707106781186547524f, t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * ck_exp(-z * z);
  return x < 0 ? tail : 1.0f - tail;
}

#define NORMAL_BLOCK 64

/* -2 ln(u) for u in (0, 1]; absolute error about 1e-7 of its value. */
static inline float minus_two_log(float u) {
#pragma clang fp contract(off)
  union { float f; int32_t i; } v = {.f = u};
  int32_t e = ((v.i - 0x3f3504f3) >> 23);
  v.i -= e << 23; /* mantissa in [sqrt(1/2), sqrt(2)) */
  float m = v.f - 1.0f, z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float y = m * z * p - 0.5f * z + m + (float)e * 0.693147180559945f;
  float r = -2.0f * y;
  return r < 0.0f ? 0.0f : r;
}

/* sin and cos of 2 pi u, u in [0, 1), by quarter turns. */
static inline void sin_cos_turn(float u, float *sine, float *cosine) {
#pragma clang fp contract(off)
  float quarter = rintf(u * 4.0f);
  float a = (u - quarter * 0.25f) * 6.28318530717958648f, z = a * a; /* |a| <= pi/4 */
  float s = a + a * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
  float c = 1.0f - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
  int32_t q = (int32_t)quarter & 3;
  float ss = (q & 1) ? c : s, cc = (q & 1) ? s : c;
  *sine = (q & 2) ? -ss : ss;
  *cosine = (q == 1 || q == 2) ? -cc : cc;
}

/* Philox4x32-10 on counters (x + i, y, draw, block), then two Box-Muller pairs: four normal numbers a pixel. No fused
 * multiply-add here and in the two helpers above: the bits must not depend on the instruction set. */
static inline void normal_block(uint64_t key, uint32_t draw, uint32_t x, uint32_t y, uint32_t channel_block,
                         float out[4][NORMAL_BLOCK], ck_int n) {
#pragma clang fp contract(off) reassociate(off)
  for (ck_int i = 0; i < n; i++) {
    uint32_t c0 = x + (uint32_t)i, c1 = y, c2 = draw, c3 = channel_block;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
      uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
      c0 = n0;
      c1 = (uint32_t)p1;
      c2 = n2;
      c3 = (uint32_t)p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    /* (k + 1) / 2^24 lies in (0, 1]; k / 2^24 in [0, 1): both exact in float. */
    float r0 = sqrtf(minus_two_log((float)((c0 >> 8) + 1) * 5.9604644775390625e-8f));
    float r1 = sqrtf(minus_two_log((float)((c2 >> 8) + 1) * 5.9604644775390625e-8f));
    float s0, t0, s1, t1;
    sin_cos_turn((float)(c1 >> 8) * 5.9604644775390625e-8f, &s0, &t0);
    sin_cos_turn((float)(c3 >> 8) * 5.9604644775390625e-8f, &s1, &t1);
    out[0][i] = r0 * t0;
    out[1][i] = r0 * s0;
    out[2][i] = r1 * t1;
    out[3][i] = r1 * s1;
  }
}
