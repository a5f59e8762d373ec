/* Attention on the bfloat16 dot products of AVX-512: blocks of scores stay in cache, nothing of size queries x keys is ever
 * in memory (arXiv:2205.14135v2).
 *
 * The order of every sum depends on the numbers of keys and channels alone, so a query has the same bits in any batch and
 * with any number of threads. */
#include "attention.h"
#include "kernels_common.inl"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16,no-prefer-256-bit"))), apply_to = function)

enum {
  LANES = 16,
  TILE = 64,   /* keys, or channels of V, that one micro kernel covers: four vectors */
  ROWS = 6,    /* queries of a micro kernel: 24 accumulators */
  QUERIES = 48, KEYS = 128 /* of one block: 24 KiB of scores */
};
#define PAD_SCORE -1e30f /* of keys that are not there: exp is 0, and no NaN on the way */

static inline __m512bh pairs_at(const uint16_t *p) { return (__m512bh)_mm512_loadu_si512(p); }
static inline __m512bh broadcast_pair(const uint16_t *p) {
  int32_t both;
  memcpy(&both, p, 4);
  return (__m512bh)_mm512_set1_epi32(both);
}

/* 2^x, relative error below 3e-7; 0 far below. */
static inline __m512 exp2_512(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.33335581e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55032981e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40226462e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147182e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/* sums[r][0 .. 16 nz) = before[r] * sums[r] + a[r] . b over `pairs` pairs; `before` NULL starts at zero. `b` holds, pair
 * after pair, 16 nz columns of two neighbouring rows. */
__attribute__((always_inline)) static inline void micro(const int mr, const int nz, const uint16_t *a, ck_int a_stride,
                                                        const uint16_t *b, ck_int pairs, const float *before, float *sums,
                                                        ck_int sums_stride) {
  __m512 acc[ROWS][4];
#pragma clang loop unroll(full)
  for (int r = 0; r < mr; r++)
#pragma clang loop unroll(full)
    for (int z = 0; z < nz; z++)
      acc[r][z] = before ? _mm512_mul_ps(_mm512_loadu_ps(sums + r * sums_stride + z * LANES), _mm512_set1_ps(before[r]))
                         : _mm512_setzero_ps();
  for (ck_int p = 0; p < pairs; p++, b += nz * 2 * LANES) {
    __m512bh column[4];
#pragma clang loop unroll(full)
    for (int z = 0; z < nz; z++) column[z] = pairs_at(b + z * 2 * LANES);
#pragma clang loop unroll(full)
    for (int r = 0; r < mr; r++) {
      const __m512bh row = broadcast_pair(a + r * a_stride + 2 * p);
#pragma clang loop unroll(full)
      for (int z = 0; z < nz; z++) acc[r][z] = _mm512_dpbf16_ps(acc[r][z], row, column[z]);
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < mr; r++)
#pragma clang loop unroll(full)
    for (int z = 0; z < nz; z++) _mm512_storeu_ps(sums + r * sums_stride + z * LANES, acc[r][z]);
}

#define MICRO_ROWS(NZ)                                                                        \
  static void micro_##NZ(ck_int mr, const uint16_t *a, ck_int a_stride, const uint16_t *b,    \
                         ck_int pairs, const float *before, float *sums, ck_int sums_stride) { \
    switch (mr) {                                                                             \
      case 1: micro(1, NZ, a, a_stride, b, pairs, before, sums, sums_stride); break;          \
      case 2: micro(2, NZ, a, a_stride, b, pairs, before, sums, sums_stride); break;          \
      case 3: micro(3, NZ, a, a_stride, b, pairs, before, sums, sums_stride); break;          \
      case 4: micro(4, NZ, a, a_stride, b, pairs, before, sums, sums_stride); break;          \
      case 5: micro(5, NZ, a, a_stride, b, pairs, before, sums, sums_stride); break;          \
      default: micro(6, NZ, a, a_stride, b, pairs, before, sums, sums_stride);                \
    }                                                                                         \
  }
MICRO_ROWS(1)
MICRO_ROWS(2)
MICRO_ROWS(3)
MICRO_ROWS(4)

static void product(ck_int rows, int nz, const uint16_t *a, ck_int a_stride, const uint16_t *b, ck_int pairs,
                    const float *before, float *sums, ck_int sums_stride) {
  for (ck_int r = 0; r < rows; r += ROWS) {
    const ck_int mr = rows - r < ROWS ? rows - r : ROWS;
    const uint16_t *ar = a + r * a_stride;
    const float *scale = before ? before + r : NULL;
    float *to = sums + r * sums_stride;
    switch (nz) {
      case 1: micro_1(mr, ar, a_stride, b, pairs, scale, to, sums_stride); break;
      case 2: micro_2(mr, ar, a_stride, b, pairs, scale, to, sums_stride); break;
      case 3: micro_3(mr, ar, a_stride, b, pairs, scale, to, sums_stride); break;
      default: micro_4(mr, ar, a_stride, b, pairs, scale, to, sums_stride);
    }
  }
}

/* One row of scores to weights relative to the largest so far; returns the row's sum. `n` is a multiple of 64. */
static float weigh(const float *scores, ck_int n, float scale, float most, uint16_t *weights) {
  const __m512 s = _mm512_set1_ps(scale), m = _mm512_set1_ps(most);
  __m512 sum = _mm512_setzero_ps();
  for (ck_int i = 0; i < n; i += 2 * LANES) {
    const __m512 low = exp2_512(_mm512_fmsub_ps(_mm512_loadu_ps(scores + i), s, m));
    const __m512 high = exp2_512(_mm512_fmsub_ps(_mm512_loadu_ps(scores + i + LANES), s, m));
    sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
    _mm512_storeu_si512(weights + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
  return _mm512_reduce_add_ps(sum);
}

static float largest(const float *scores, ck_int n) {
  __m512 most = _mm512_loadu_ps(scores);
  for (ck_int i = LANES; i < n; i += LANES) most = _mm512_max_ps(most, _mm512_loadu_ps(scores + i));
  return _mm512_reduce_max_ps(most);
}

static ck_int rounded(ck_int n, ck_int to) { return (n + to - 1) / to * to; }

static void attend(const uint16_t *q, ck_int q_stride, const uint16_t *k, const uint16_t *v, ck_int keys, float scale,
                   uint16_t *out, ck_int out_stride, ck_int rows, ck_int width) {
  float scores[QUERIES * KEYS], sums[QUERIES * CK_ATTENTION_MAX_WIDTH], most[QUERIES], total[QUERIES], fade[QUERIES];
  uint16_t weights[QUERIES * KEYS];
  const ck_int padded_keys = rounded(keys, TILE), padded_width = rounded(width, LANES);
  memset(sums, 0, (size_t)(rows * padded_width) * sizeof *sums);
  for (ck_int r = 0; r < rows; r++) {
    most[r] = -INFINITY;
    total[r] = 0;
  }
  for (ck_int first = 0; first < padded_keys; first += KEYS) {
    const ck_int n = padded_keys - first < KEYS ? padded_keys - first : KEYS;
    for (ck_int tile = 0; tile < n; tile += TILE)
      product(rows, 4, q, q_stride, k + (first + tile) * width, width / 2, NULL, scores + tile, KEYS);
    for (ck_int i = keys - first; i < n; i++)
      for (ck_int r = 0; r < rows; r++) scores[r * KEYS + i] = PAD_SCORE;
    for (ck_int r = 0; r < rows; r++) {
      const float here = largest(scores + r * KEYS, n) * scale, now = here > most[r] ? here : most[r];
      fade[r] = exp2f(most[r] - now);
      most[r] = now;
      total[r] = total[r] * fade[r] + weigh(scores + r * KEYS, n, scale, now, weights + r * KEYS);
    }
    for (ck_int c = 0; c < padded_width; c += TILE) {
      const ck_int nz = (padded_width - c < TILE ? padded_width - c : TILE) / LANES;
      product(rows, (int)nz, weights, KEYS, v + c * padded_keys + first * nz * LANES, n / 2, fade, sums + c, padded_width);
    }
  }
  for (ck_int r = 0; r < rows; r++, out += out_stride) {
    const float share = 1 / total[r];
    for (ck_int c = 0; c < width; c++) out[c] = float_to_bf16(sums[r * padded_width + c] * share);
  }
}

/* K as pairs of channels of 64 keys each; V as pairs of keys of up to 64 channels each. */
static void pack(const uint16_t *k, const uint16_t *v, ck_int stride, ck_int keys, ck_int width, uint16_t *packed) {
  const ck_int padded_keys = rounded(keys, TILE), padded_width = rounded(width, LANES);
  for (ck_int tile = 0; tile < padded_keys; tile += TILE)
    for (ck_int pair = 0; pair < width / 2; pair++)
      for (ck_int i = 0; i < TILE; i++, packed += 2) {
        const uint16_t *from = k + (tile + i) * stride + 2 * pair;
        packed[0] = tile + i < keys ? from[0] : 0;
        packed[1] = tile + i < keys ? from[1] : 0;
      }
  for (ck_int c = 0; c < padded_width; c += TILE) {
    const ck_int columns = padded_width - c < TILE ? padded_width - c : TILE;
    for (ck_int key = 0; key < padded_keys; key += 2)
      for (ck_int i = c; i < c + columns; i++, packed += 2) {
        packed[0] = i < width && key < keys ? v[key * stride + i] : 0;
        packed[1] = i < width && key + 1 < keys ? v[(key + 1) * stride + i] : 0;
      }
  }
}

static size_t packed_bytes(ck_int keys, ck_int width) {
  return (size_t)(rounded(keys, TILE) * (width + rounded(width, LANES))) * sizeof(uint16_t);
}

static void attention(const uint16_t *q, ck_int q_stride, const uint16_t *packed, ck_int keys, float scale, uint16_t *out,
                      ck_int out_stride, ck_int queries, ck_int width) {
  const uint16_t *v = packed + rounded(keys, TILE) * width;
  for (ck_int r = 0; r < queries; r += QUERIES)
    attend(q + r * q_stride, q_stride, packed, v, keys, scale, out + r * out_stride, out_stride,
           queries - r < QUERIES ? queries - r : QUERIES, width);
}
#pragma clang attribute pop

const ck_attention_kernels ck_attention_bf16 = {QUERIES, packed_bytes, pack, attention};
#endif
