/* The gradient of a convolution's weights on AMX tiles.
 *
 *   dw[o][i][ky][kx] = sum over samples and output pixels p of dout[p][o] x[p stride + (ky, kx) - pad][i]
 *
 * Pixels are what is summed over, 32 a step: dout is transposed (tiles of 16 output channels by 32 pixels), x is interleaved
 * by pairs of pixels (tiles of 32 pixels by 16 input channels), once for each kx; a row of the picture further down serves
 * the next ky. A group of about 2,000 pixels and 32 input channels stays in the second-level cache while all output channels
 * and kernel positions pass over it. Samples are cut into a number of parts that depends on the shape alone, each with sums
 * of its own that are added up in order: the same bits for any number of threads. */
#include "internal.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

enum { GROUP = 2048, PAIR_BYTES = 128 };

#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16,no-prefer-256-bit"))), apply_to = function)

static ck_int blocks(ck_int channels) { return (channels + 15) / 16; }
static ck_int least(ck_int a, ck_int b) { return a < b ? a : b; }

/* Pixels that one step sums over. */
static ck_int step_of(const ck_gradient *p) { return p->out_height * p->out_width >= 32 ? 32 : 16; }

int32_t ck_has_weight_gradient(const ck_gradient *p) {
  if (ck_isa_level() < CK_ISA_AMX) return 0;
  const ck_int step = step_of(p), w = p->out_width;
  if (p->stride < 1 || p->stride > 2 || p->kernel > 3 || p->batch < 1 || p->in > 2048 || p->out > 2048) return 0;
  return w % step == 0 || (w > 0 && w % 2 == 0 && step % w == 0 && p->out_height % (step / w) == 0);
}

ck_int ck_weight_gradient_parts(const ck_gradient *p) {
  const ck_int bytes = p->kernel * p->kernel * blocks(p->in) * blocks(p->out) * 1024;
  return least(p->batch, bytes <= 300000 ? 8 : bytes <= 700000 ? 4 : 2);
}

/* Output rows of one sample that a group holds, and samples. */
static ck_int rows_of(const ck_gradient *p) {
  const ck_int rows = GROUP / p->out_width, each = step_of(p) / p->out_width;
  const ck_int whole = each > 1 ? rows / each * each : rows;
  return least(p->out_height, whole > 0 ? whole : 1);
}
static ck_int samples_of(const ck_gradient *p) {
  const ck_int n = GROUP / (p->out_height * p->out_width);
  return n > 1 ? least(n, p->batch) : 1;
}

/* Rows of input below which the last kernel row of this plane reaches; ky = plane + stride * offset. */
static ck_int reach(const ck_gradient *p, ck_int plane) {
  return plane < p->kernel ? (p->kernel - 1 - plane) / p->stride : 0;
}
static ck_int planes(const ck_gradient *p) { return least(p->stride, p->kernel); }
static ck_int row_bytes(const ck_gradient *p) { return p->out_width / 2 * PAIR_BYTES; }
/* Bytes of one kx's copy of a sample's rows. */
static ck_int copy_bytes(const ck_gradient *p) {
  ck_int rows = 0;
  for (ck_int plane = 0; plane < planes(p); plane++) rows += rows_of(p) + reach(p, plane);
  return rows * row_bytes(p);
}
static ck_int sums_bytes(const ck_gradient *p) {
  return (p->kernel * p->kernel * blocks(p->in) * 256 + 16) * blocks(p->out) * 4;
}
static ck_int left_bytes(const ck_gradient *p) {
  return samples_of(p) * (rows_of(p) * p->out_width / step_of(p)) * blocks(p->out) * 1024;
}

size_t ck_weight_gradient_bytes(const ck_gradient *p) {
  return (size_t)(sums_bytes(p) + left_bytes(p) + samples_of(p) * p->kernel * copy_bytes(p));
}

/* 16 vectors of 16 doublewords, transposed. */
static inline void transpose16(__m512i r[16]) {
  __m512i t[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

/* Tiles of dout: by pairs of blocks of channels, so that a walk along the pixels reads one stretch of memory. */
static ck_int tile_at(ck_int block, ck_int blocks_in_all, ck_int step, ck_int steps_in_all) {
  const ck_int first = block & ~(ck_int)1, width = first + 1 < blocks_in_all ? 2 : 1;
  return (first * steps_in_all + step * width + (block & 1)) * 1024;
}

/* One step's pixels of dout to tiles of 16 channels by `step` pixels, and their sums to `bias`. */
static void transpose_step(const uint16_t *dout, ck_int channels, ck_int step, uint8_t *left, ck_int number,
                           ck_int steps_in_all, float *bias) {
  const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                         36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (ck_int first = 0; first < channels; first += 16, bias += 16) {
    uint8_t *to = left + tile_at(first / 16, blocks(channels), number, steps_in_all);
    const ck_int n = channels - first;
    const __mmask16 m = n >= 16 ? 0xffff : (__mmask16)((1 << n) - 1);
    __m512i r[16];
    __m512 sum = _mm512_loadu_ps(bias), other = _mm512_setzero_ps();
#pragma clang loop unroll(full)
    for (int j = 0; j < 16; j++) {
      r[j] = _mm512_setzero_si512();
      if (2 * j < step) {
        const uint16_t *a = dout + 2 * j * channels + first;
        r[j] = _mm512_permutex2var_epi16(_mm512_castsi256_si512(_mm256_maskz_loadu_epi16(m, a)), order,
                                         _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(m, a + channels)));
      }
      if (j & 1) sum = _mm512_dpbf16_ps(sum, (__m512bh)r[j], ones);
      else other = _mm512_dpbf16_ps(other, (__m512bh)r[j], ones);
    }
    _mm512_storeu_ps(bias, _mm512_add_ps(sum, other));
    transpose16(r);
#pragma clang loop unroll(full)
    for (int j = 0; j < 16; j++) _mm512_storeu_si512(to + 64 * j, r[j]);
  }
}

/* Rows of one sample's x as one kx sees them: pairs of pixels, 32 channels from `first` on. */
static void interleave(const ck_gradient *p, const uint16_t *x, ck_int first, ck_int top, ck_int rows, ck_int kx,
                       uint8_t *to) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36,
                                       4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const ck_int n = p->in - first;
  const __mmask32 m = n >= 32 ? 0xffffffffu : (1u << n) - 1;
  for (ck_int plane = 0; plane < planes(p); plane++)
    for (ck_int r = 0; r < rows + reach(p, plane); r++) {
      const ck_int y = (top + r) * p->stride + plane - p->pad;
      if (y < 0 || y >= p->height) {
        memset(to, 0, (size_t)row_bytes(p));
        to += row_bytes(p);
        continue;
      }
      const uint16_t *row = x + y * p->width * p->in + first;
      for (ck_int j = 0; j < p->out_width; j += 2, to += PAIR_BYTES) {
        const ck_int a = j * p->stride + kx - p->pad, b = a + p->stride;
        const __m512i u = _mm512_maskz_loadu_epi16(a >= 0 && a < p->width ? m : 0, row + a * p->in);
        const __m512i v = _mm512_maskz_loadu_epi16(b >= 0 && b < p->width ? m : 0, row + b * p->in);
        _mm512_store_si512(to, _mm512_permutex2var_epi16(u, low, v));
        _mm512_store_si512(to + 64, _mm512_permutex2var_epi16(u, high, v));
      }
    }
}

/* Where the steps of one kernel position lie: `segments` runs of `steps` each. */
typedef struct walk {
  const uint8_t *left, *right;
  ck_int left_step, right_step, right_segment, segments, steps;
} walk;

/* sums (tiles of 16 x 16 floats: output channels down, input channels across) += left . right. */
__attribute__((always_inline)) static inline void multiply(const walk w, const int down, const int across, float *sums,
                                                           ck_int below, int start) {
  if (start) {
    _tile_zero(0);
    if (across == 2) _tile_zero(1);
    if (down == 2) _tile_zero(2);
    if (down == 2 && across == 2) _tile_zero(3);
  } else {
    _tile_loadd(0, sums, 64);
    if (across == 2) _tile_loadd(1, sums + 256, 64);
    if (down == 2) _tile_loadd(2, sums + below, 64);
    if (down == 2 && across == 2) _tile_loadd(3, sums + below + 256, 64);
  }
  const uint8_t *left = w.left;
  for (ck_int s = 0; s < w.segments; s++) {
    const uint8_t *right = w.right + s * w.right_segment;
    for (ck_int k = 0; k < w.steps; k++, left += w.left_step, right += w.right_step) {
      _tile_loadd(4, left, 64);
      _tile_loadd(6, right, PAIR_BYTES);
      if (down == 2) _tile_loadd(5, left + 1024, 64);
      if (across == 2) _tile_loadd(7, right + 64, PAIR_BYTES);
      _tile_dpbf16ps(0, 4, 6);
      if (across == 2) _tile_dpbf16ps(1, 4, 7);
      if (down == 2) _tile_dpbf16ps(2, 5, 6);
      if (down == 2 && across == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 64);
  if (across == 2) _tile_stored(1, sums + 256, 64);
  if (down == 2) _tile_stored(2, sums + below, 64);
  if (down == 2 && across == 2) _tile_stored(3, sums + below + 256, 64);
}

void ck_weight_gradient_part(const ck_gradient *p, const void *x, const void *dout, ck_int part, void *scratch) {
  const ck_int parts = ck_weight_gradient_parts(p), step = step_of(p), in = blocks(p->in), out = blocks(p->out);
  const ck_int from = p->batch * part / parts, to = p->batch * (part + 1) / parts;
  const ck_int kernel = p->kernel, area = p->out_height * p->out_width, most_rows = rows_of(p), most = samples_of(p);
  float *sums = scratch, *bias = sums + kernel * kernel * in * out * 256;
  uint8_t *left = (uint8_t *)scratch + sums_bytes(p), *right = left + left_bytes(p);
  memset(bias, 0, (size_t)out * 64);

  _Alignas(64) uint8_t before[64], tiles[64] = {1};
  uint16_t *widths = (uint16_t *)(tiles + 16);
  for (int t = 0; t < 8; t++) {
    widths[t] = (uint16_t)(t == 4 || t == 5 ? 2 * step : 64);
    tiles[48 + t] = (uint8_t)(t >= 6 ? step / 2 : 16);
  }
  _tile_storeconfig(before);
  _tile_loadconfig(tiles);
  int start = 1;
  for (ck_int sample = from; sample < to; sample += most)
    for (ck_int top = 0; top < p->out_height; top += most_rows, start = 0) {
      const ck_int samples = least(most, to - sample), rows = least(most_rows, p->out_height - top);
      const ck_int steps = rows * p->out_width / step, copy = copy_bytes(p);
      for (ck_int s = 0; s < samples; s++)
        for (ck_int k = 0; k < steps; k++)
          transpose_step((const uint16_t *)dout + ((sample + s) * area + top * p->out_width + k * step) * p->out, p->out,
                         step, left, s * steps + k, samples * steps, bias);
      for (ck_int i = 0; i < in; i += 2) {
        for (ck_int kx = 0; kx < kernel; kx++)
          for (ck_int s = 0; s < samples; s++)
            interleave(p, (const uint16_t *)x + (sample + s) * p->height * p->width * p->in, 16 * i, top, rows, kx,
                       right + (kx * samples + s) * copy);
        for (ck_int o = 0; o < out; o += 2)
          for (ck_int ky = 0; ky < kernel; ky++)
            for (ck_int kx = 0; kx < kernel; kx++) {
              ck_int offset = ky / p->stride;
              for (ck_int plane = 0; plane < ky % p->stride; plane++) offset += rows + reach(p, plane);
              const int down = o + 1 < out ? 2 : 1, across = i + 1 < in ? 2 : 1;
              const walk w = {.left = left + tile_at(o, out, 0, samples * steps),
                              .right = right + kx * samples * copy + offset * row_bytes(p),
                              .left_step = down * 1024, .right_step = step / 2 * PAIR_BYTES, .right_segment = copy,
                              .segments = samples, .steps = steps};
              float *at = sums + (((ky * kernel + kx) * out + o) * in + i) * 256;
              if (down == 2 && across == 2) multiply(w, 2, 2, at, in * 256, start);
              else if (down == 2) multiply(w, 2, 1, at, in * 256, start);
              else if (across == 2) multiply(w, 1, 2, at, in * 256, start);
              else multiply(w, 1, 1, at, in * 256, start);
            }
      }
    }
  /* oneDNN may count on its own tiles. */
  if (before[0]) _tile_loadconfig(before);
  else _tile_release();
}

void ck_weight_gradient_finish(const ck_gradient *p, const void *scratch, float *dw, float *db, ck_int first, ck_int last) {
  const ck_int parts = ck_weight_gradient_parts(p), in = blocks(p->in), out = blocks(p->out), area = p->kernel * p->kernel;
  const ck_int each = (ck_int)((ck_weight_gradient_bytes(p) + 63) & ~(size_t)63) / 4;
  const float *sums = scratch;
  for (ck_int o = first; o < last; o++) {
    for (ck_int i = 0; i < in; i++) {
      _Alignas(64) float lines[9][16];
      for (ck_int k = 0; k < area; k++) {
        const float *at = sums + ((k * out + o / 16) * in + i) * 256 + o % 16 * 16;
        __m512 sum = _mm512_loadu_ps(at);
        for (ck_int part = 1; part < parts; part++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(at + part * each));
        _mm512_store_ps(lines[k], sum);
      }
      float *to = dw + (o * p->in + 16 * i) * area;
      for (ck_int lane = 0; lane < least(16, p->in - 16 * i); lane++)
        for (ck_int k = 0; k < area; k++) *to++ = lines[k][lane];
    }
    if (db) {
      const float *at = sums + area * in * out * 256 + o;
      db[o] = at[0];
      for (ck_int part = 1; part < parts; part++) db[o] += at[part * each];
    }
  }
}
#pragma clang attribute pop
#else
int32_t ck_has_weight_gradient(const ck_gradient *p) { return 0; }
ck_int ck_weight_gradient_parts(const ck_gradient *p) { return 0; }
size_t ck_weight_gradient_bytes(const ck_gradient *p) { return 0; }
void ck_weight_gradient_part(const ck_gradient *p, const void *x, const void *dout, ck_int part, void *scratch) {}
void ck_weight_gradient_finish(const ck_gradient *p, const void *scratch, float *dw, float *db, ck_int first, ck_int last) {}
#endif
