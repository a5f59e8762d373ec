/* Group norm, layer norm and GEGLU, written once for one memory type; included by isa.inl as kernels.inl is. */

static void NAME(channel_moments)(const T *restrict x, float *restrict sums, ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += c)
    for (ck_int i = 0; i < c; i++) {
      float f = LOAD(x, i);
      sums[i] += f;
      sums[c + i] += f * f;
    }
}

static void NAME(affine_forward)(const T *restrict x, const float *restrict a, const float *restrict b, int32_t activate,
                                 T *restrict out, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  if (activate)
    for (ck_int r = 0; r < rows; r++, x += c, out += c)
      for (ck_int i = 0; i < c; i++) {
        float u = LOAD(x, i) * a[i] + b[i];
        STORE(out, i, u * ck_sigmoid(u));
      }
  else
    for (ck_int r = 0; r < rows; r++, x += c, out += c)
      for (ck_int i = 0; i < c; i++) STORE(out, i, LOAD(x, i) * a[i] + b[i]);
}

/* The gradient at u = x a + b of a loss whose gradient at the output is d. */
static inline float NAME(affine_du)(float x, float a, float b, int32_t activate, float d) {
#pragma clang fp contract(fast)
  if (!activate) return d;
  float u = x * a + b, s = ck_sigmoid(u);
  return d * (s * (1 + u * (1 - s)));
}

static void NAME(affine_moments)(const T *restrict x, const float *restrict a, const float *restrict b, int32_t activate,
                                 const T *restrict dout, float *restrict sums, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  for (ck_int r = 0; r < rows; r++, x += c, dout += c)
    for (ck_int i = 0; i < c; i++) {
      float f = LOAD(x, i), du = NAME(affine_du)(f, a[i], b[i], activate, LOAD(dout, i));
      sums[i] += du;
      sums[c + i] += du * f;
    }
}

static void NAME(affine_backward)(const T *restrict x, const float *restrict a, const float *restrict b,
                                  const float *restrict p, const float *restrict q, int32_t activate,
                                  const T *restrict dout, T *restrict dx, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  for (ck_int r = 0; r < rows; r++, x += c, dout += c, dx += c)
    for (ck_int i = 0; i < c; i++) {
      float f = LOAD(x, i), du = NAME(affine_du)(f, a[i], b[i], activate, LOAD(dout, i));
      STORE(dx, i, du * a[i] + (f * p[i] + q[i]));
    }
}

/* Copies a row to floats less its mean and returns 1 / sqrt(variance + eps). */
static inline float NAME(centre_row)(const T *restrict x, float *restrict row, float eps, ck_int c) {
#pragma clang fp reassociate(on) contract(fast)
  float sum = 0, square = 0;
  for (ck_int i = 0; i < c; i++) sum += row[i] = LOAD(x, i);
  const float mean = sum / (float)c;
  for (ck_int i = 0; i < c; i++) {
    float f = row[i] - mean;
    row[i] = f;
    square += f * f;
  }
  return 1.0f / sqrtf(square / (float)c + eps);
}

static void NAME(layer_norm_forward)(const T *restrict x, const float *restrict gain, const float *restrict bias,
                                     float eps, T *restrict out, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  float row[CK_MAX_CHANNELS];
  for (ck_int r = 0; r < rows; r++, x += c, out += c) {
    float inverse = NAME(centre_row)(x, row, eps, c);
    for (ck_int i = 0; i < c; i++) STORE(out, i, row[i] * inverse * gain[i] + bias[i]);
  }
}

static void NAME(layer_norm_backward)(const T *restrict x, const float *restrict gain, float eps,
                                      const T *restrict dout, T *restrict dx, float *restrict dgain,
                                      float *restrict dbias, ck_int rows, ck_int c) {
#pragma clang fp reassociate(on) contract(fast)
  float row[CK_MAX_CHANNELS];
  for (ck_int r = 0; r < rows; r++, x += c, dout += c, dx += c) {
    float inverse = NAME(centre_row)(x, row, eps, c), sum = 0, dot = 0;
    for (ck_int i = 0; i < c; i++) {
      float d = LOAD(dout, i), n = row[i] * inverse;
      dgain[i] += d * n;
      dbias[i] += d;
      d *= gain[i];
      sum += d;
      dot += d * n;
    }
    sum /= (float)c;
    dot /= (float)c;
    for (ck_int i = 0; i < c; i++)
      STORE(dx, i, inverse * (LOAD(dout, i) * gain[i] - sum - row[i] * inverse * dot));
  }
}

static void NAME(geglu_forward)(const T *restrict x, T *restrict out, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  for (ck_int r = 0; r < rows; r++, x += 2 * c, out += c)
    for (ck_int i = 0; i < c; i++) {
      float g = LOAD(x, c + i);
      STORE(out, i, LOAD(x, i) * (g * ck_normal_cdf(g)));
    }
}

static void NAME(geglu_backward)(const T *restrict x, const T *restrict dout, T *restrict dx, ck_int rows, ck_int c) {
#pragma clang fp contract(fast)
  for (ck_int r = 0; r < rows; r++, x += 2 * c, dx += 2 * c, dout += c)
    for (ck_int i = 0; i < c; i++) {
      float h = LOAD(x, i), g = LOAD(x, c + i), d = LOAD(dout, i), cdf = ck_normal_cdf(g);
      STORE(dx, i, d * (g * cdf));
      STORE(dx, c + i, d * h * (cdf + g * (0.398942280401432678f * ck_exp(-0.5f * g * g))));
    }
}
