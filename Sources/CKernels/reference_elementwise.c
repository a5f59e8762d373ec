/* The references of what works element by element or sums rows, and of the noise. */
#include "ckernels_reference.h"

#include <math.h>
#include <string.h>

uint16_t ckr_to_bf16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if (isnan(f)) return (uint16_t)((bits >> 16) | 0x40);
  /* The nearer of the two neighbours, by what is cut off; at equal distance the even one. */
  const uint32_t cut = bits & 0xffff, below = bits >> 16;
  return (uint16_t)(below + (cut > 0x8000 || (cut == 0x8000 && (below & 1))));
}

float ckr_from_bf16(uint16_t b) {
  const uint32_t bits = (uint32_t)b << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

void ckr_axpby(float a, const float *x, float b, const float *y, float *out, ck_int count) {
  for (ck_int i = 0; i < count; i++) out[i] = (float)((double)a * x[i] + (y ? (double)b * y[i] : 0));
}

void ckr_blend_forward(const float *h, const float *a, const float *mu, float *out, ck_int rows, ck_int c) {
  for (ck_int i = 0; i < rows * c; i++) out[i] = (float)((1 - (double)mu[i % c]) * h[i] + (double)mu[i % c] * a[i]);
}

void ckr_blend_backward(const float *h, const float *a, const float *mu, const float *dout, float *dh, float *da,
                        float *dmu, ck_int rows, ck_int c) {
  for (ck_int k = 0; k < c; k++) {
    double sum = dmu[k];
    for (ck_int i = k; i < rows * c; i += c) {
      dh[i] = (float)((1 - (double)mu[k]) * dout[i]);
      da[i] = (float)((double)mu[k] * dout[i]);
      sum += (double)dout[i] * ((double)a[i] - h[i]);
    }
    dmu[k] = (float)sum;
  }
}

void ckr_upsample_forward(const float *x, float *out, ck_int height, ck_int width, ck_int c) {
  for (ck_int y = 0; y < 2 * height; y++)
    for (ck_int z = 0; z < 2 * width; z++)
      for (ck_int i = 0; i < c; i++) out[(y * 2 * width + z) * c + i] = x[(y / 2 * width + z / 2) * c + i];
}

void ckr_upsample_backward(const float *dout, float *dx, ck_int height, ck_int width, ck_int c) {
  for (ck_int y = 0; y < height; y++)
    for (ck_int z = 0; z < width; z++)
      for (ck_int i = 0; i < c; i++) {
        double sum = 0;
        for (ck_int k = 0; k < 4; k++) sum += dout[((2 * y + k / 2) * 2 * width + 2 * z + k % 2) * c + i];
        dx[(y * width + z) * c + i] = (float)sum;
      }
}

double ckr_sum_squares(const float *x, const float *y, ck_int count) {
  double sum = 0;
  for (ck_int i = 0; i < count; i++) sum += ((double)x[i] - (y ? y[i] : 0)) * ((double)x[i] - (y ? y[i] : 0));
  return sum;
}

void ckr_sum_rows(const float *x, float *sums, ck_int rows, ck_int c) {
  for (ck_int k = 0; k < c; k++) {
    double sum = sums[k];
    for (ck_int r = 0; r < rows; r++) sum += x[r * c + k];
    sums[k] = (float)sum;
  }
}

void ckr_normal_row(uint64_t key, uint32_t draw, uint32_t x, uint32_t y, double *out, ck_int width, ck_int channels) {
  const double turn = 6.283185307179586477, unit = 1.0 / (1 << 24);
  const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  for (ck_int i = 0; i < width; i++)
    for (ck_int k = 0; k < channels; k++) {
      const uint32_t counter[4] = {x + (uint32_t)i, y, draw, (uint32_t)(k / 4)};
      uint32_t words[4];
      ckr_philox(counter, keys, words);
      /* Box-Muller on the upper 24 bits of a pair of words: cosine first, then sine. */
      const uint32_t *pair = words + k % 4 / 2 * 2;
      const double radius = sqrt(-2 * log(((pair[0] >> 8) + 1) * unit)), angle = turn * (pair[1] >> 8) * unit;
      out[i * channels + k] = radius * (k % 2 ? sin(angle) : cos(angle));
    }
}
