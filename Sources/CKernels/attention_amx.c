/* Attention on AMX tiles: blocks of scores stay in cache, nothing of size queries x keys is ever in memory
 * (arXiv:2205.14135v2).
 *
 * Everything is transposed: scores are keys x queries and sums channels x queries, so that a query is a lane and neither
 * the softmax nor its rescaling ever crosses lanes. The order of every sum depends on the numbers of keys and channels
 * alone, so a query has the same bits in any batch and with any number of threads. */
#include "attention.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16,no-prefer-256-bit"))), apply_to = function)

enum {
  LANES = 16,               /* queries of a tile */
  DEPTH = 32,               /* what one tile product sums over */
  TILE_BYTES = 1024,        /* 16 rows of 64 bytes, whatever they hold */
  QUERIES = 64, KEYS = 128, /* of one block; keys' weights are added up when so many are there */
  GROUPS = QUERIES / LANES,
  CHANNEL_TILES = CK_ATTENTION_MAX_WIDTH / LANES,
  DEPTH_TILES = CK_ATTENTION_MAX_WIDTH / DEPTH,
};

static ck_int ceiling(ck_int n, ck_int by) { return (n + by - 1) / by; }

/* 2^x within 7.5e-5 of itself, a fiftieth of what rounding to bfloat16 does to it; 0 far below. vscalef takes the whole
 * part of x, the cubic is for the rest, [0, 1). */
static inline __m512 exp2_coarse(__m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(7.802451e-2f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.2606718e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9583353e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.9992522e-1f));
  return _mm512_scalef_ps(p, x);
}

/* Rows 2i and 2i + 1 as pairs, lane by lane. */
static inline __m512i paired(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

typedef struct block {
  /* Queries, tile after tile: pairs of channels x 16 queries. */
  uint16_t q[GROUPS * DEPTH_TILES * 512] __attribute__((aligned(64)));
  /* 32 keys x 16 queries of two groups: these, the next ones, and those that the tiles are at. What tiles store is read
   * one round later only, or the reads would wait. */
  float scores[3][2][DEPTH * LANES] __attribute__((aligned(64)));
  /* Pairs of keys x 16 queries for each group. */
  uint16_t weights[GROUPS][KEYS * LANES] __attribute__((aligned(64)));
  /* Channels x 16 queries for each group. */
  float sums[GROUPS][CHANNEL_TILES * 256] __attribute__((aligned(64)));
  __m512 most[GROUPS], total[GROUPS];
  /* Not yet added up: values of their keys, the first of `waiting` steps, for each pair of groups. */
  const uint16_t *values[GROUPS / 2];
  ck_int waiting[GROUPS / 2];
} block;

/* Scores of 32 keys and 32 queries are four tiles, `depth` products each. One after another, so that other work can go
 * between them: product `n` of 4 depth. */
static inline void score(const uint16_t *q, const uint16_t *k, ck_int depth, ck_int n) {
  const uint16_t *k_at = k + (n >> 2) * 512, *q_at = q + (n >> 2) * 512;
  switch (n & 3) {
    case 0:
      _tile_loadd(4, k_at, 64);
      _tile_loadd(6, q_at, 64);
      _tile_dpbf16ps(0, 4, 6);
      break;
    case 1:
      _tile_loadd(7, q_at + depth * 512, 64);
      _tile_dpbf16ps(1, 4, 7);
      break;
    case 2:
      _tile_loadd(5, k_at + depth * 512, 64);
      _tile_dpbf16ps(2, 5, 6);
      break;
    default: _tile_dpbf16ps(3, 5, 7);
  }
}
static inline void start_scores(void) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
static inline void store_scores(float (*scores)[DEPTH * LANES]) {
  _tile_stored(0, scores[0], 64);
  _tile_stored(1, scores[1], 64);
  _tile_stored(2, scores[0] + 256, 64);
  _tile_stored(3, scores[1] + 256, 64);
}

/* Adds `steps` times 32 keys' values, `stride` apart, to 16 n channels of 32 queries. */
static inline void add_values(block *b, int group, const uint16_t *v, ck_int stride, int n, ck_int tile, ck_int steps) {
  float *first = b->sums[group] + tile * 256, *second = b->sums[group + 1] + tile * 256;
  const uint16_t *p = b->weights[group], *r = b->weights[group + 1];
#define EACH(N)                                            \
  _tile_loadd(0, first, 64);                               \
  _tile_loadd(1, second, 64);                              \
  if (N > 1) {                                             \
    _tile_loadd(2, first + 256, 64);                       \
    _tile_loadd(3, second + 256, 64);                      \
  }                                                        \
  if (N > 2) {                                             \
    _tile_loadd(4, first + 512, 64);                       \
    _tile_loadd(5, second + 512, 64);                      \
  }                                                        \
  for (ck_int s = 0; s < steps; s++, p += 512, r += 512) { \
    const uint16_t *at = v + s * stride;                   \
    /* Both weights, then one tile of values after another. */ \
    _tile_loadd(6, at, 64);                                \
    _tile_loadd(7, p, 64);                                 \
    _tile_dpbf16ps(0, 6, 7);                               \
    if (N > 1) {                                           \
      _tile_loadd(6, at + 512, 64);                        \
      _tile_dpbf16ps(2, 6, 7);                             \
    }                                                      \
    if (N > 2) {                                           \
      _tile_loadd(6, at + 1024, 64);                       \
      _tile_dpbf16ps(4, 6, 7);                             \
    }                                                      \
    _tile_loadd(7, r, 64);                                 \
    if (N > 2) _tile_dpbf16ps(5, 6, 7);                    \
    if (N > 1) {                                           \
      _tile_loadd(6, at + 512, 64);                        \
      _tile_dpbf16ps(3, 6, 7);                             \
    }                                                      \
    if (N > 1) _tile_loadd(6, at, 64);                     \
    _tile_dpbf16ps(1, 6, 7);                               \
  }                                                        \
  _tile_stored(0, first, 64);                              \
  _tile_stored(1, second, 64);                             \
  if (N > 1) {                                             \
    _tile_stored(2, first + 256, 64);                      \
    _tile_stored(3, second + 256, 64);                     \
  }                                                        \
  if (N > 2) {                                             \
    _tile_stored(4, first + 512, 64);                      \
    _tile_stored(5, second + 512, 64);                     \
  }
  switch (n) {
    case 1: EACH(1) break;
    case 2: EACH(2) break;
    default: EACH(3)
  }
#undef EACH
}

/* Adds up what waits. */
static void add_waiting(block *b, int pair, ck_int tiles) {
  for (ck_int tile = 0; tile < tiles; tile += 3)
    add_values(b, 2 * pair, b->values[pair] + tile * 512, tiles * 512, (int)(tiles - tile < 3 ? tiles - tile : 3), tile,
               b->waiting[pair]);
  b->values[pair] += b->waiting[pair] * tiles * 512;
  b->waiting[pair] = 0;
}

static inline __m512 largest(const float *scores) {
  __m512 a = _mm512_load_ps(scores), c = _mm512_load_ps(scores + LANES);
#pragma clang loop unroll(full)
  for (int i = 2; i < DEPTH; i += 2) {
    a = _mm512_max_ps(a, _mm512_load_ps(scores + i * LANES));
    c = _mm512_max_ps(c, _mm512_load_ps(scores + (i + 1) * LANES));
  }
  return _mm512_max_ps(a, c);
}

static void rescale(block *b, int group, __mmask16 grown, __m512 here, ck_int tiles) {
  const __m512 old = b->most[group], now = _mm512_mask_mov_ps(old, grown, here);
  const __m512 fade = _mm512_mask_mov_ps(_mm512_set1_ps(1), grown, exp2_coarse(_mm512_sub_ps(old, now)));
  b->most[group] = now;
  b->total[group] = _mm512_mul_ps(b->total[group], fade);
  for (ck_int i = 0; i < tiles * LANES; i++) {
    float *sums = b->sums[group] + i * LANES;
    _mm512_store_ps(sums, _mm512_mul_ps(_mm512_load_ps(sums), fade));
  }
}

/* Takes note of the largest scores. A query's weights are relative to `most`, which follows only when the largest has
 * grown to 2^8 times it: sums then stay in range, and are hardly ever rescaled. */
static inline void watch(block *b, int pair, float (*scores)[DEPTH * LANES], __m512 scale, ck_int tiles) {
  const __m512 here[2] = {_mm512_mul_ps(largest(scores[0]), scale), _mm512_mul_ps(largest(scores[1]), scale)};
  __mmask16 grown[2];
  for (int g = 0; g < 2; g++)
    grown[g] = _mm512_cmp_ps_mask(here[g], _mm512_add_ps(b->most[2 * pair + g], _mm512_set1_ps(8)), _CMP_NLE_UQ);
  if (__builtin_expect(!(grown[0] | grown[1]), 1)) return;
  add_waiting(b, pair, tiles);
  for (int g = 0; g < 2; g++) rescale(b, 2 * pair + g, grown[g], here[g], tiles);
}

enum { PIECE = 8 };
/* `PIECE` keys' scores of 16 queries to weights, and their sums. */
static inline void weigh(const float *scores, uint16_t *weights, __m512 scale, __m512 most, __m512 sum[2]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < PIECE; i += 2) {
    const __m512 even = exp2_coarse(_mm512_fmsub_ps(_mm512_load_ps(scores + i * LANES), scale, most));
    const __m512 odd = exp2_coarse(_mm512_fmsub_ps(_mm512_load_ps(scores + (i + 1) * LANES), scale, most));
    sum[0] = _mm512_add_ps(sum[0], even);
    sum[1] = _mm512_add_ps(sum[1], odd);
    _mm512_store_si512(weights + i * LANES, paired(even, odd));
  }
}

/* Scores of keys that are not there: no weight, and no NaN on the way. */
static void hide(float (*scores)[DEPTH * LANES], ck_int from) {
  for (int g = 0; g < 2; g++)
    for (ck_int i = from * LANES; i < DEPTH * LANES; i++) scores[g][i] = -1e30f;
}

static void configure(void) {
  struct {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shape = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    shape.row_bytes[i] = 64;
    shape.rows[i] = 16;
  }
  _tile_loadconfig(&shape);
}

/* Offsets of 16 rows, in bytes. */
static inline __m512i rows_apart(ck_int stride) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)(stride * (ck_int)sizeof(uint16_t))));
}

/* 16 queries as pairs of channels, zeros where there is no query or channel. */
static void pack_queries(const uint16_t *q, ck_int stride, __mmask16 present, ck_int width, uint16_t *to) {
  const __m512i rows = rows_apart(stride), zero = _mm512_setzero_si512();
  for (ck_int c = 0; c < ceiling(width, DEPTH) * DEPTH; c += 2, to += 2 * LANES)
    _mm512_store_si512(to, c < width ? _mm512_mask_i32gather_epi32(zero, present, rows, q + c, 1) : zero);
}

/* Sums of 16 queries to their outputs. */
static void unpack(const float *sums, __m512 total, __mmask16 present, ck_int width, uint16_t *out, ck_int stride) {
  const __m512i rows = rows_apart(stride);
  const __m512 share = _mm512_div_ps(_mm512_set1_ps(1), total);
  for (ck_int c = 0; c < width; c += 2, sums += 2 * LANES)
    _mm512_mask_i32scatter_epi32(
        out + c, present, rows,
        paired(_mm512_mul_ps(_mm512_load_ps(sums), share), _mm512_mul_ps(_mm512_load_ps(sums + LANES), share)), 1);
}

static void attend(block *b, const uint16_t *q, ck_int q_stride, const uint16_t *k, const uint16_t *v, ck_int keys,
                   float scale_value, uint16_t *out, ck_int out_stride, ck_int rows, ck_int width) {
  const ck_int depth = ceiling(width, DEPTH), tiles = ceiling(width, LANES), steps = ceiling(keys, DEPTH);
  const __m512 scale = _mm512_set1_ps(scale_value);
  /* Queries that are not there are left out in pairs of tiles. */
  const int pairs = (int)ceiling(rows, 2 * LANES), groups = 2 * pairs;
  __mmask16 present[GROUPS];
  for (int g = 0; g < groups; g++) {
    const ck_int here = rows - g * LANES;
    present[g] = (__mmask16)(here >= LANES ? 0xffff : here > 0 ? (1 << here) - 1 : 0);
    pack_queries(q + g * LANES * q_stride, q_stride, present[g], width, b->q + g * depth * 512);
    memset(b->sums[g], 0, (size_t)tiles * TILE_BYTES);
    b->most[g] = _mm512_set1_ps(-INFINITY);
    b->total[g] = _mm512_setzero_ps();
    b->values[g / 2] = v;
    b->waiting[g / 2] = 0;
  }
  const ck_int units = steps * pairs;
  for (ck_int unit = 0; unit < 2 && unit < units; unit++) {
    start_scores();
    for (ck_int n = 0; n < 4 * depth; n++)
      score(b->q + 2 * (unit % pairs) * depth * 512, k + unit / pairs * 2 * depth * 512, depth, n);
    store_scores(b->scores[unit]);
  }
  for (ck_int unit = 0; unit < units; unit++) {
    const ck_int step = unit / pairs, ahead = (unit + 2) / pairs;
    const int pair = (int)(unit % pairs), other = (int)((unit + 1) % pairs), following = (int)((unit + 2) % pairs);
    float(*scores)[DEPTH * LANES] = b->scores[unit % 3];
    if ((step + 1) * DEPTH > keys) hide(scores, keys - step * DEPTH);
    watch(b, pair, scores, scale, tiles);
    /* The tiles sum later scores while these become weights: product, eight keys, product, ... */
    const uint16_t *next_q = b->q + 2 * following * depth * 512, *next_k = k + ahead * 2 * depth * 512;
    const ck_int products = ahead < steps ? 4 * depth : 0;
    uint16_t *weights = b->weights[2 * pair] + b->waiting[pair] * DEPTH * LANES;
    ck_int n = 0;
    start_scores();
    for (int g = 0; g < 2; g++, weights += KEYS * LANES) {
      const __m512 most = b->most[2 * pair + g];
      __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
#pragma clang loop unroll(full)
      for (int i = 0; i < DEPTH / PIECE; i++) {
        for (; n * 8 < products * (g * (DEPTH / PIECE) + i + 1); n++) score(next_q, next_k, depth, n);
        weigh(scores[g] + i * PIECE * LANES, weights + i * PIECE * LANES, scale, most, sum);
      }
      b->total[2 * pair + g] = _mm512_add_ps(b->total[2 * pair + g], _mm512_add_ps(sum[0], sum[1]));
    }
    store_scores(b->scores[(unit + 2) % 3]);
    b->waiting[pair]++;
    if (b->waiting[other] == KEYS / DEPTH) add_waiting(b, other, tiles);
  }
  for (int pair = 0; pair < pairs; pair++) add_waiting(b, pair, tiles);
  for (int g = 0; g < groups; g++)
    unpack(b->sums[g], b->total[g], present[g], width, out + g * LANES * out_stride, out_stride);
}

static size_t packed_bytes(ck_int keys, ck_int width) {
  const ck_int steps = ceiling(keys, DEPTH);
  return (size_t)(2 * steps * ceiling(width, DEPTH) + steps * ceiling(width, LANES)) * TILE_BYTES;
}

/* Keys in tiles of 16 keys x 32 channels, those of one sixteen together; values transposed in tiles of 16 channels x 32
 * keys, those of 32 keys together: as they are read. */
static void pack(const uint16_t *k, const uint16_t *v, ck_int stride, ck_int keys, ck_int width, uint16_t *to) {
  const ck_int steps = ceiling(keys, DEPTH);
  for (ck_int tile = 0; tile < 2 * steps; tile++)
    for (ck_int c = 0; c < width; c += DEPTH)
      for (ck_int i = tile * LANES; i < (tile + 1) * LANES; i++, to += DEPTH) {
        const ck_int n = i < keys ? width - c < DEPTH ? width - c : DEPTH : 0;
        memcpy(to, k + i * stride + c, (size_t)n * sizeof *to);
        memset(to + n, 0, (size_t)(DEPTH - n) * sizeof *to);
      }
  for (ck_int step = 0; step < steps; step++)
    for (ck_int tile = 0; tile < ceiling(width, LANES); tile++, to += 512)
      for (ck_int i = 0; i < DEPTH; i++) {
        const ck_int key = step * DEPTH + i;
        for (ck_int c = 0; c < LANES; c++)
          to[c * DEPTH + i] = key < keys && tile * LANES + c < width ? v[key * stride + tile * LANES + c] : 0;
      }
}

static void attention(const uint16_t *q, ck_int q_stride, const uint16_t *packed, ck_int keys, float scale, uint16_t *out,
                      ck_int out_stride, ck_int queries, ck_int width) {
  const uint16_t *v = packed + 2 * ceiling(keys, DEPTH) * ceiling(width, DEPTH) * 512;
  block b;
  configure();
  for (ck_int r = 0; r < queries; r += QUERIES)
    attend(&b, q + r * q_stride, q_stride, packed, v, keys, scale, out + r * out_stride, out_stride,
           queries - r < QUERIES ? queries - r : QUERIES, width);
  _tile_release();
}
#pragma clang attribute pop

const ck_attention_kernels ck_attention_amx = {QUERIES, packed_bytes, pack, attention};
#endif
