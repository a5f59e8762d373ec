/* The kernels, written once for one memory type. Included by isa.inl with
 *   T         element type in memory           LOAD(p, i)   its i-th element as float
 *   NAME(n)   name of this instance            STORE(p, i, f)
 * Plain loops: the compiler vectorises them for the instruction set that the including file asks for. */

static void NAME(axpby)(float a, const T *restrict x, float b, const T *restrict y, T *restrict out, ck_int n) {
  if (y)
    for (ck_int i = 0; i < n; i++) STORE(out, i, a * LOAD(x, i) + b * LOAD(y, i));
  else
    for (ck_int i = 0; i < n; i++) STORE(out, i, a * LOAD(x, i));
}

/* Copies a row to floats and returns 1 / sqrt(mean square + eps). */
static inline float NAME(load_row)(const T *restrict x, float *restrict row, float eps, ck_int c) {
#pragma clang fp reassociate(on) contract(fast)
  float sum = 0;
  for (ck_int i = 0; i < c; i++) {
    float f = LOAD(x, i);
    row[i] = f;
    sum += f * f;
  }
  return 1.0f / sqrtf(sum / (float)c + eps);
}

static void NAME(norm_forward)(const T *restrict x, const float *restrict gain, const float *restrict scale,
                               const float *restrict shift, float eps, int32_t activate, T *restrict out, ck_int rows,
                               ck_int c) {
#pragma clang fp contract(fast)
  float row[CK_MAX_CHANNELS], g[CK_MAX_CHANNELS], s[CK_MAX_CHANNELS];
  for (ck_int i = 0; i < c; i++) {
    g[i] = scale ? gain[i] * (1 + scale[i]) : gain[i];
    s[i] = shift ? shift[i] : 0;
  }
  for (ck_int r = 0; r < rows; r++, x += c, out += c) {
    float inverse = NAME(load_row)(x, row, eps, c);
    if (activate)
      for (ck_int i = 0; i < c; i++) {
        float u = row[i] * inverse * g[i] + s[i];
        STORE(out, i, u * ck_sigmoid(u));
      }
    else
      for (ck_int i = 0; i < c; i++) STORE(out, i, row[i] * inverse * g[i] + s[i]);
  }
}

static void NAME(norm_backward)(const T *restrict x, const float *restrict gain, const float *restrict scale,
                                const float *restrict shift, float eps, int32_t activate, const T *restrict dout,
                                const T *restrict add, T *restrict dx, float *restrict dgain, float *restrict dscale, float *restrict dshift,
                                ck_int rows, ck_int c) {
#pragma clang fp reassociate(on) contract(fast)
  float row[CK_MAX_CHANNELS], du[CK_MAX_CHANNELS], g[CK_MAX_CHANNELS], s[CK_MAX_CHANNELS];
  float un[CK_MAX_CHANNELS] = {0}, us[CK_MAX_CHANNELS] = {0}; /* sums of du n / gain and of du */
  for (ck_int i = 0; i < c; i++) {
    g[i] = scale ? gain[i] * (1 + scale[i]) : gain[i];
    s[i] = shift ? shift[i] : 0;
  }
  for (ck_int r = 0; r < rows; r++, x += c, dout += c, dx += c) {
    float inverse = NAME(load_row)(x, row, eps, c);
    float dot = 0;
    if (activate)
      for (ck_int i = 0; i < c; i++) {
        float n = row[i] * inverse, u = n * g[i] + s[i], sig = ck_sigmoid(u);
        float d = LOAD(dout, i) * (sig * (1 + u * (1 - sig)));
        un[i] += d * n;
        us[i] += d;
        d *= g[i];
        du[i] = d;
        dot += d * n;
      }
    else
      for (ck_int i = 0; i < c; i++) {
        float n = row[i] * inverse, d = LOAD(dout, i);
        un[i] += d * n;
        us[i] += d;
        d *= g[i];
        du[i] = d;
        dot += d * n;
      }
    dot /= (float)c;
    for (ck_int i = 0; i < c; i++) {
      float d = inverse * (du[i] - row[i] * inverse * dot);
      STORE(dx, i, add ? d + LOAD(add, r * c + i) : d);
    }
  }
  for (ck_int i = 0; i < c; i++) {
    dgain[i] += scale ? un[i] * (1 + scale[i]) : un[i];
    if (dscale) dscale[i] += un[i] * gain[i];
    if (dshift) dshift[i] += us[i];
  }
}

static void NAME(silu_forward)(const T *restrict x, T *restrict out, ck_int n) {
  for (ck_int i = 0; i < n; i++) {
    float u = LOAD(x, i);
    STORE(out, i, u * ck_sigmoid(u));
  }
}

static void NAME(silu_backward)(const T *restrict x, const T *restrict dout, T *restrict dx, ck_int n) {
  for (ck_int i = 0; i < n; i++) {
    float u = LOAD(x, i), s = ck_sigmoid(u);
    STORE(dx, i, LOAD(dout, i) * (s * (1 + u * (1 - s))));
  }
}

static void NAME(blend_forward)(const T *restrict h, const T *restrict a, const float *restrict mu, T *restrict out,
                                ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, h += c, a += c, out += c)
    for (ck_int i = 0; i < c; i++) {
      float f = LOAD(h, i);
      STORE(out, i, f + mu[i] * (LOAD(a, i) - f));
    }
}

static void NAME(blend_backward)(const T *restrict h, const T *restrict a, const float *restrict mu,
                                 const T *restrict dout, T *restrict dh, T *restrict da, float *restrict dmu, ck_int rows,
                                 ck_int c) {
  float sum[CK_MAX_CHANNELS] = {0};
  for (ck_int r = 0; r < rows; r++, h += c, a += c, dout += c) {
    for (ck_int i = 0; i < c; i++) sum[i] += LOAD(dout, i) * (LOAD(a, i) - LOAD(h, i));
    if (dh)
      for (ck_int i = 0; i < c; i++) STORE(dh, r * c + i, (1 - mu[i]) * LOAD(dout, i));
    if (da)
      for (ck_int i = 0; i < c; i++) STORE(da, r * c + i, mu[i] * LOAD(dout, i));
  }
  for (ck_int i = 0; i < c; i++) dmu[i] += sum[i];
}

static void NAME(join)(const T *restrict h, const T *restrict core, const T *restrict mine, const float *restrict mu,
                       T *restrict out, ck_int rows, ck_int c, ck_int d) {
  for (ck_int r = 0; r < rows; r++, h += c, core += d, out += c + d) {
    memcpy(out, h, (size_t)c * sizeof(T));
    if (mine)
      NAME(blend_forward)(core, mine + r * d, mu, out + c, 1, d);
    else
      memcpy(out + c, core, (size_t)d * sizeof(T));
  }
}

static void NAME(join_backward)(const T *restrict core, const T *restrict mine, const float *restrict mu,
                                const T *restrict dout, T *restrict dh, T *restrict dcore, T *restrict dmine,
                                float *restrict dmu, ck_int rows, ck_int c, ck_int d) {
  float sum[CK_MAX_CHANNELS] = {0};
  for (ck_int r = 0; r < rows; r++, dout += c + d) {
    if (dh) memcpy(dh + r * c, dout, (size_t)c * sizeof(T));
    const T *restrict g = dout + c;
    if (!mine) {
      if (dcore) memcpy(dcore + r * d, g, (size_t)d * sizeof(T));
      continue;
    }
    const T *restrict a = core + r * d, *restrict b = mine + r * d;
    for (ck_int i = 0; i < d; i++) sum[i] += LOAD(g, i) * (LOAD(b, i) - LOAD(a, i));
    if (dcore)
      for (ck_int i = 0; i < d; i++) STORE(dcore, r * d + i, (1 - mu[i]) * LOAD(g, i));
    if (dmine)
      for (ck_int i = 0; i < d; i++) STORE(dmine, r * d + i, mu[i] * LOAD(g, i));
  }
  if (mine)
    for (ck_int i = 0; i < d; i++) dmu[i] += sum[i];
}

static void NAME(upsample_forward)(const T *restrict x, T *restrict out, ck_int height, ck_int width, ck_int c) {
  for (ck_int y = 0; y < height; y++)
    for (ck_int half = 0; half < 2; half++)
      for (ck_int i = 0; i < width; i++, out += 2 * c) {
        memcpy(out, x + (y * width + i) * c, (size_t)c * sizeof(T));
        memcpy(out + c, x + (y * width + i) * c, (size_t)c * sizeof(T));
      }
}

static void NAME(upsample_backward)(const T *restrict dout, T *restrict dx, ck_int height, ck_int width, ck_int c) {
  for (ck_int y = 0; y < height; y++)
    for (ck_int x = 0; x < width; x++, dx += c) {
      const T *a = dout + (4 * y * width + 2 * x) * c, *b = a + 2 * width * c;
      for (ck_int i = 0; i < c; i++) STORE(dx, i, LOAD(a, i) + LOAD(a, c + i) + LOAD(b, i) + LOAD(b, c + i));
    }
}

static double NAME(sum_squares)(const T *restrict x, const T *restrict y, ck_int n) {
#pragma clang fp reassociate(on) contract(fast)
  double total = 0;
  for (ck_int from = 0; from < n; from += 4096) {
    ck_int to = from + 4096 < n ? from + 4096 : n;
    float sum = 0;
    if (y)
      for (ck_int i = from; i < to; i++) {
        float d = LOAD(x, i) - LOAD(y, i);
        sum += d * d;
      }
    else
      for (ck_int i = from; i < to; i++) sum += LOAD(x, i) * LOAD(x, i);
    total += sum;
  }
  return total;
}

static void NAME(sum_rows)(const T *restrict x, float *restrict sums, ck_int rows, ck_int c) {
  for (ck_int r = 0; r < rows; r++, x += c)
    for (ck_int i = 0; i < c; i++) sums[i] += LOAD(x, i);
}
