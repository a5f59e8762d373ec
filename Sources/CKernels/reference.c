#include "ckernels_reference.h"

#include <math.h>

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

float ckr_silu(float x) { return (float)(x * sigmoid(x)); }
float ckr_silu_gradient(float x) { return (float)(sigmoid(x) * (1 + x * (1 - sigmoid(x)))); }

void ckr_norm_forward(const float *x, const float *gain, const float *scale, const float *shift, float eps,
                      int32_t activate, float *out, ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += c, out += c) {
    double mean = 0;
    for (ck_int i = 0; i < c; i++) mean += (double)x[i] * x[i] / c;
    for (ck_int i = 0; i < c; i++) {
      double u = x[i] / sqrt(mean + eps) * gain[i] * (1 + (scale ? scale[i] : 0)) + (shift ? shift[i] : 0);
      out[i] = (float)(activate ? u * sigmoid(u) : u);
    }
  }
}

void ckr_norm_backward(const float *x, const float *gain, const float *scale, const float *shift, float eps,
                       int32_t activate, const float *dout, float *dx, float *dgain, float *dscale, float *dshift,
                       ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += c, dout += c, dx += c) {
    double mean = 0, dot = 0;
    for (ck_int i = 0; i < c; i++) mean += (double)x[i] * x[i] / c;
    const double inverse = 1 / sqrt(mean + eps);
    for (ck_int pass = 0; pass < 2; pass++)
      for (ck_int i = 0; i < c; i++) {
        const double s = 1 + (scale ? scale[i] : 0), n = x[i] * inverse, u = n * gain[i] * s + (shift ? shift[i] : 0);
        const double du = dout[i] * (activate ? sigmoid(u) * (1 + u * (1 - sigmoid(u))) : 1);
        if (pass == 0) {
          dot += du * gain[i] * s * n / c;
          dgain[i] += (float)(du * n * s);
          if (dscale) dscale[i] += (float)(du * n * gain[i]);
          if (dshift) dshift[i] += (float)du;
        } else {
          dx[i] = (float)(inverse * (du * gain[i] * s - n * dot));
        }
      }
  }
}

void ckr_group_norm(const float *x, const float *gain, const float *bias, float eps, ck_int groups, int32_t activate,
                    float *out, ck_int rows, ck_int c) {
  const ck_int width = c / groups;
  for (ck_int g = 0; g < groups; g++) {
    double mean = 0, variance = 0;
    const double n = (double)(rows * width);
    for (ck_int r = 0; r < rows; r++)
      for (ck_int i = g * width; i < (g + 1) * width; i++) mean += x[r * c + i] / n;
    for (ck_int r = 0; r < rows; r++)
      for (ck_int i = g * width; i < (g + 1) * width; i++)
        variance += (x[r * c + i] - mean) * (x[r * c + i] - mean) / n;
    for (ck_int r = 0; r < rows; r++)
      for (ck_int i = g * width; i < (g + 1) * width; i++) {
        const double u = (x[r * c + i] - mean) / sqrt(variance + eps) * gain[i] + bias[i];
        out[r * c + i] = (float)(activate ? u * sigmoid(u) : u);
      }
  }
}

void ckr_layer_norm(const float *x, const float *gain, const float *bias, float eps, float *out, ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += c, out += c) {
    double mean = 0, variance = 0;
    for (ck_int i = 0; i < c; i++) mean += (double)x[i] / (double)c;
    for (ck_int i = 0; i < c; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)c;
    for (ck_int i = 0; i < c; i++) out[i] = (float)((x[i] - mean) / sqrt(variance + eps) * gain[i] + bias[i]);
  }
}

void ckr_geglu(const float *x, float *out, ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += 2 * c, out += c)
    for (ck_int i = 0; i < c; i++) {
      const double g = x[c + i];
      out[i] = (float)(x[i] * g * 0.5 * erfc(-g * 0.70710678118654752));
    }
}

void ckr_attention(const float *q, const float *k, const float *v, float scale, float *out, ck_int queries, ck_int keys,
                   ck_int d) {
  for (ck_int i = 0; i < queries; i++, q += d, out += d) {
    double most = -INFINITY, sum = 0, total[1024] = {0};
    for (ck_int pass = 0; pass < 2; pass++)
      for (ck_int j = 0; j < keys; j++) {
        double score = 0;
        for (ck_int c = 0; c < d; c++) score += (double)q[c] * k[j * d + c] * scale;
        if (pass == 0) {
          most = score > most ? score : most;
          continue;
        }
        const double e = exp(score - most);
        sum += e;
        for (ck_int c = 0; c < d && c < 1024; c++) total[c] += e * v[j * d + c];
      }
    for (ck_int c = 0; c < d && c < 1024; c++) out[c] = (float)(total[c] / sum);
  }
}

void ckr_adamw(float *w, const float *gradient, float *m, float *v, float *average, float gradient_scale, float rate,
               float beta1, float beta2, float correction1, float correction2, float eps, float decay,
               float average_decay, ck_int count) {
  for (ck_int i = 0; i < count; i++) {
    const double g = (double)gradient[i] * gradient_scale;
    const double mi = beta1 * (double)m[i] + (1 - (double)beta1) * g, vi = beta2 * (double)v[i] + (1 - (double)beta2) * g * g;
    const double wi = w[i] - rate * (mi * correction1 / (sqrt(vi * correction2) + eps) + (double)decay * w[i]);
    m[i] = (float)mi;
    v[i] = (float)vi;
    w[i] = (float)wi;
    if (average) average[i] = (float)(average[i] + (1 - (double)average_decay) * (wi - average[i]));
  }
}

void ckr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
  for (int round = 0; round < 10; round++) {
    const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1],
                              (uint32_t)a};
    for (int i = 0; i < 4; i++) c[i] = next[i];
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; i++) out[i] = c[i];
}

void ckr_conv_forward(const float *x, const float *w, const float *bias, float *out, ck_int batch, ck_int height,
                      ck_int width, ck_int in_channels, ck_int out_height, ck_int out_width, ck_int out_channels,
                      ck_int kernel, ck_int stride, ck_int low, ck_int groups) {
  const ck_int ig = in_channels / groups, og = out_channels / groups;
  for (ck_int b = 0; b < batch; b++)
    for (ck_int y = 0; y < out_height; y++)
      for (ck_int z = 0; z < out_width; z++)
        for (ck_int o = 0; o < out_channels; o++) {
          double sum = bias ? bias[o] : 0;
          for (ck_int ky = 0; ky < kernel; ky++)
            for (ck_int kx = 0; kx < kernel; kx++) {
              const ck_int sy = y * stride + ky - low, sx = z * stride + kx - low;
              if (sy < 0 || sx < 0 || sy >= height || sx >= width) continue;
              for (ck_int i = 0; i < ig; i++)
                sum += (double)x[((b * height + sy) * width + sx) * in_channels + o / og * ig + i]
                       * w[((o * ig + i) * kernel + ky) * kernel + kx];
            }
          out[((b * out_height + y) * out_width + z) * out_channels + o] = (float)sum;
        }
}
