#include "CVips.h"

#include <lcms2.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

/* MARK: start, errors */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started;

static void silence(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data) {
  (void)domain, (void)level, (void)message, (void)data;
}

static void start(void) {
  /* Decoders report damaged files as warnings on stderr; the status and the error text say it already. */
  g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_MESSAGE, silence,
                    NULL);
  started = vips_init("codi") == 0;
  if (!started) return;
  vips_concurrency_set(1); /* the caller decides how many threads there are */
  vips_cache_set_max(0);
  vips_block_untrusted_set(TRUE);
}

static cv_status ready(char *error, size_t size) {
  pthread_once(&once, start);
  if (started) return cv_status_ok;
  if (error && size) g_strlcpy(error, "libvips does not start", size);
  return cv_status_failed;
}

static cv_status fail(cv_status status, const char *text, char *error, size_t size) {
  char *log = vips_error_buffer_copy(); /* also clears it */
  if (error && size) {
    const char *message = text ? text : log;
    g_strlcpy(error, message, size);
    g_strdelimit(error, "\n", ' ');
    g_strchomp(error);
  }
  g_free(log);
  return status;
}

/* Replaces `*image` by `next`, dropping the old reference. */
static void advance(VipsImage **image, VipsImage *next) {
  g_object_unref(*image);
  *image = next;
}

/* MARK: open */

static const struct {
  const char *loader, *format;
} readable[] = {
    {"VipsForeignLoadJpeg", "jpeg"}, {"VipsForeignLoadPng", "png"},    {"VipsForeignLoadWebp", "webp"},
    {"VipsForeignLoadTiff", "tiff"}, {"VipsForeignLoadHeif", "heif"},  {"VipsForeignLoadNsgif", "gif"},
};

/* Opens the input and reads its header; no pixel is decoded. Sources, not file names: libvips reads options from
   brackets in a file name. */
static cv_status open_input(const cv_input *input, int32_t shrink, VipsImage **image, const char **format,
                            int32_t *shrunk, char *error, size_t size) {
  VipsSource *source = input->path ? vips_source_new_from_file(input->path)
                                   : vips_source_new_from_memory(input->bytes, input->length);
  if (!source) return fail(cv_status_cannot_open, NULL, error, size);
  const char *loader = vips_foreign_find_load_source(source);
  if (!loader) {
    g_object_unref(source);
    return fail(cv_status_not_a_picture, "its first bytes belong to no known picture format", error, size);
  }
  *format = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(readable); i++)
    if (g_str_has_prefix(loader, readable[i].loader)) *format = readable[i].format;
  if (!*format) {
    g_object_unref(source);
    return fail(cv_status_unsupported, loader, error, size);
  }
  VipsImage *opened = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                                 VIPS_FAIL_ON_ERROR, NULL);
  if (!opened) {
    g_object_unref(source);
    return fail(cv_status_damaged, NULL, error, size);
  }
  int64_t pixels = (int64_t)opened->Xsize * opened->Ysize;
  if (input->maximum_pixels > 0 && pixels > input->maximum_pixels) {
    char text[96];
    g_snprintf(text, sizeof text, "%d x %d pixels", opened->Xsize, opened->Ysize);
    g_object_unref(opened);
    g_object_unref(source);
    return fail(cv_status_too_large, text, error, size);
  }
  *shrunk = 1;
  if (shrink > 1 && strcmp(*format, "jpeg") == 0) { /* in the frequency domain, nearly free */
    g_object_unref(opened);
    opened = NULL;
    if (vips_source_rewind(source) ||
        vips_jpegload_source(source, &opened, "shrink", shrink, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                             VIPS_FAIL_ON_ERROR, NULL)) {
      if (opened) g_object_unref(opened);
      g_object_unref(source);
      return fail(cv_status_damaged, NULL, error, size);
    }
    *shrunk = shrink;
  }
  g_object_unref(source);
  *image = opened;
  return cv_status_ok;
}

static int deep(const VipsImage *image) { return image->BandFmt != VIPS_FORMAT_UCHAR; }

cv_status cv_probe(const cv_input *input, cv_header *header, char *error, size_t size) {
  memset(header, 0, sizeof *header);
  cv_status status = ready(error, size);
  if (status) return status;
  VipsImage *image;
  const char *format;
  int32_t shrunk;
  if ((status = open_input(input, 1, &image, &format, &shrunk, error, size))) return status;
  int swap = vips_image_get_orientation_swap(image);
  header->width = swap ? image->Ysize : image->Xsize;
  header->height = swap ? image->Xsize : image->Ysize;
  header->bands = image->Bands;
  header->bits = deep(image) ? 16 : 8;
  header->has_alpha = vips_image_hasalpha(image);
  header->has_profile = vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0;
  g_strlcpy(header->format, format, sizeof header->format);
  g_object_unref(image);
  return cv_status_ok;
}

/* MARK: colour */

/* How many channels the profile describes, by the name at byte 16 of its header; 0 when it is of no use here. */
static int profile_channels(const void *bytes, size_t length) {
  if (length < 128) return 0;
  const char *space = (const char *)bytes + 16;
  return memcmp(space, "RGB ", 4) == 0 ? 3 : memcmp(space, "GRAY", 4) == 0 ? 1 : memcmp(space, "CMYK", 4) == 0 ? 4 : 0;
}

/* Little CMS's description of interleaved samples: `bits` 8 or 16, with or without an alpha channel behind. */
static cmsUInt32Number layout(int channels, int alpha, int bits) {
  int space = channels == 1 ? PT_GRAY : channels == 4 ? PT_CMYK : PT_RGB;
  return COLORSPACE_SH(space) | CHANNELS_SH(channels) | EXTRA_SH(alpha) | BYTES_SH(bits / 8);
}

/* Takes `count` pixels between a profile and sRGB; 0, or -1 when the profile cannot be used. Not through libvips,
   whose transforms interpolate in a coarse lattice (dark saturated colours move by up to 15 levels): NOOPTIMIZE
   forbids that. */
static int transform(const void *profile, size_t length, int to_srgb, const void *in, cmsUInt32Number in_layout,
                     void *out, cmsUInt32Number out_layout, size_t count) {
  cmsHPROFILE own = cmsOpenProfileFromMem(profile, (cmsUInt32Number)length);
  if (!own) return -1;
  cmsHPROFILE srgb = cmsCreate_sRGBProfile();
  cmsHTRANSFORM chain =
      srgb ? cmsCreateTransform(to_srgb ? own : srgb, in_layout, to_srgb ? srgb : own, out_layout,
                                INTENT_RELATIVE_COLORIMETRIC,
                                cmsFLAGS_NOOPTIMIZE | cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_COPY_ALPHA)
           : NULL;
  if (srgb) cmsCloseProfile(srgb);
  cmsCloseProfile(own);
  if (!chain) return -1;
  size_t in_pixel = (T_CHANNELS(in_layout) + T_EXTRA(in_layout)) * T_BYTES(in_layout);
  size_t out_pixel = (T_CHANNELS(out_layout) + T_EXTRA(out_layout)) * T_BYTES(out_layout);
  for (size_t done = 0; done < count;) {
    size_t n = MIN(count - done, 1 << 20);
    cmsDoTransform(chain, (const char *)in + done * in_pixel, (char *)out + done * out_pixel, (cmsUInt32Number)n);
    done += n;
  }
  cmsDeleteTransform(chain);
  return 0;
}

int32_t cv_profile_is_srgb(const void *bytes, size_t length) {
  enum { side = 6, count = side * side * side };
  if (ready(NULL, 0) || profile_channels(bytes, length) != 3) return -1;
  uint16_t lattice[count * 3], moved[count * 3];
  for (int i = 0; i < count; i++) {
    lattice[3 * i] = (uint16_t)(i % side * 13107);
    lattice[3 * i + 1] = (uint16_t)(i / side % side * 13107);
    lattice[3 * i + 2] = (uint16_t)(i / side / side * 13107);
  }
  int result = transform(bytes, length, 1, lattice, layout(3, 0, 16), moved, layout(3, 0, 16), count);
  vips_error_clear(); /* libvips collects the complaints of Little CMS */
  if (result) return -1;
  for (int i = 0; i < count * 3; i++)
    if (abs((int)moved[i] - (int)lattice[i]) > 257) return 0;
  return 1;
}

/* A grey, RGB or CMYK image of 8 or 16 bits to sRGB of the same depth. */
static int to_srgb(VipsImage *in, VipsImage **out, int bits, const void *profile, size_t length) {
  size_t stored, count = (size_t)in->Xsize * in->Ysize, size = count * 3 * (bits / 8);
  cmsUInt32Number from = layout(in->Bands, 0, bits), to = layout(3, 0, bits);
  void *pixels = vips_image_write_to_memory(in, &stored), *converted = g_try_malloc(size);
  VipsImage *image = NULL;
  int result = !pixels || !converted || transform(profile, length, 1, pixels, from, converted, to, count) ||
               !(image = vips_image_new_from_memory_copy(converted, size, in->Xsize, in->Ysize, 3, in->BandFmt)) ||
               vips_copy(image, out, "interpretation",
                         bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, NULL);
  if (image) g_object_unref(image);
  g_free(converted);
  g_free(pixels);
  return result ? -1 : 0;
}

/* MARK: decode */

static cv_blob copy_blob(const void *bytes, size_t length) {
  cv_blob blob = {NULL, 0};
  if (length) blob = (cv_blob){g_memdup2(bytes, length), length};
  return blob;
}

static cv_blob get_blob(VipsImage *image, const char *name) {
  const void *bytes;
  size_t length;
  if (!vips_image_get_typeof(image, name) || vips_image_get_blob(image, name, &bytes, &length))
    return (cv_blob){NULL, 0};
  return copy_blob(bytes, length);
}

static void *append_field(VipsImage *image, const char *name, GValue *value, void *data) {
  (void)image;
  if (g_str_has_prefix(name, "exif-ifd") && VIPS_TYPE_REF_STRING == G_VALUE_TYPE(value)) {
    const char *text = vips_value_get_ref_string(value, NULL);
    g_byte_array_append(data, (const guint8 *)name, (guint)strlen(name) + 1);
    g_byte_array_append(data, (const guint8 *)text, (guint)strlen(text) + 1);
  }
  return NULL;
}

static void keep_metadata(VipsImage *image, cv_picture *picture) {
  picture->exif = get_blob(image, VIPS_META_EXIF_NAME);
  picture->xmp = get_blob(image, VIPS_META_XMP_NAME);
  picture->x_per_mm = image->Xres;
  picture->y_per_mm = image->Yres;
  GByteArray *fields = g_byte_array_new();
  vips_image_map(image, append_field, fields);
  picture->fields = copy_blob(fields->data, fields->len);
  g_byte_array_free(fields, TRUE);
}

/* The profile to give back on encoding: the picture's own when it describes RGB, else sRGB's, as the result is RGB. */
static void keep_profile(const void *bytes, size_t length, cv_picture *picture) {
  if (profile_channels(bytes, length) == 3) {
    picture->profile = copy_blob(bytes, length);
    return;
  }
  VipsBlob *srgb = NULL;
  if (vips_profile_load("srgb", &srgb, NULL) || !srgb) return;
  bytes = vips_blob_get(srgb, &length);
  picture->profile = copy_blob(bytes, length);
  vips_area_unref(VIPS_AREA(srgb));
}

/* To three channels of sRGB. A profile is used only when the picture has one: asking libvips for sRGB shifts the
   colours of an untagged picture. A profile that cannot be used counts as none. */
static int colour(VipsImage **image, int bits, cv_picture *picture) {
  VipsImage *next = NULL;
  VipsInterpretation space = (*image)->Type;
  int device = space == VIPS_INTERPRETATION_sRGB || space == VIPS_INTERPRETATION_RGB ||
               space == VIPS_INTERPRETATION_RGB16 || space == VIPS_INTERPRETATION_B_W ||
               space == VIPS_INTERPRETATION_GREY16 || space == VIPS_INTERPRETATION_CMYK;
  const void *bytes;
  size_t length;
  if (device && vips_image_get_typeof(*image, VIPS_META_ICC_NAME) &&
      !vips_image_get_blob(*image, VIPS_META_ICC_NAME, &bytes, &length) &&
      profile_channels(bytes, length) == (*image)->Bands) {
    int same = cv_profile_is_srgb(bytes, length) == 1;
    if (same) {
      keep_profile(bytes, length, picture);
    } else if (!to_srgb(*image, &next, bits, bytes, length)) {
      keep_profile(bytes, length, picture);
      advance(image, next);
      return 0;
    }
    vips_error_clear();
  }
  if (vips_colourspace(*image, &next, bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, NULL))
    return -1;
  advance(image, next);
  return 0;
}

static int flatten_on_white(VipsImage *in, VipsImage **out, double white) {
  double colour[3] = {white, white, white};
  VipsArrayDouble *background = vips_array_double_new(colour, 3);
  int result = vips_flatten(in, out, "background", background, "max_alpha", white, NULL);
  vips_area_unref(VIPS_AREA(background));
  return result;
}

cv_status cv_decode(const cv_input *input, int32_t shrink, int32_t opaque, cv_picture *picture, char *error,
                    size_t size) {
  memset(picture, 0, sizeof *picture);
  cv_status status = ready(error, size);
  if (status) return status;
  VipsImage *image, *next = NULL, *alpha = NULL;
  const char *format;
  int32_t shrunk;
  if ((status = open_input(input, shrink, &image, &format, &shrunk, error, size))) return status;

#define STEP(kind, call) \
  do { \
    next = NULL; \
    if (call) { \
      if (next) g_object_unref(next); \
      if (alpha) g_object_unref(alpha); \
      g_object_unref(image); \
      return fail(kind, NULL, error, size); \
    } \
  } while (0)

  if (!opaque) keep_metadata(image, picture);
  STEP(cv_status_damaged, !(next = vips_image_copy_memory(image))); /* every pixel is decoded here */
  advance(&image, next);
  STEP(cv_status_damaged, vips_autorot(image, &next, NULL));
  advance(&image, next);
  if (image->BandFmt != VIPS_FORMAT_UCHAR && image->BandFmt != VIPS_FORMAT_USHORT) {
    STEP(cv_status_unsupported, vips_colourspace(image, &next, VIPS_INTERPRETATION_RGB16, NULL));
    advance(&image, next);
  }
  int bits = deep(image) ? 16 : 8;
  if (vips_image_hasalpha(image)) { /* apart, so that no colour conversion touches it */
    STEP(cv_status_unsupported, vips_extract_band(image, &next, image->Bands - 1, NULL));
    alpha = next;
    STEP(cv_status_unsupported, vips_extract_band(image, &next, 0, "n", image->Bands - 1, NULL));
    advance(&image, next);
  }
  STEP(cv_status_unsupported, colour(&image, bits, picture));
  if (image->Bands != 3) {
    if (alpha) g_object_unref(alpha);
    g_object_unref(image);
    return fail(cv_status_unsupported, "its channels are neither grey nor RGB nor CMYK", error, size);
  }
  if (alpha) {
    STEP(cv_status_failed, vips_bandjoin2(image, alpha, &next, NULL));
    advance(&image, next);
    STEP(cv_status_failed, vips_copy(image, &next, "interpretation",
                                     bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, NULL));
    advance(&image, next);
    g_object_unref(alpha);
    alpha = NULL;
    if (opaque) {
      STEP(cv_status_failed, flatten_on_white(image, &next, bits == 16 ? 65535 : 255));
      advance(&image, next);
    }
  }
  if (shrink > shrunk) {
    STEP(cv_status_failed, vips_shrink(image, &next, shrink, shrink, NULL));
    advance(&image, next);
  }
  if (opaque && bits == 16) {
    STEP(cv_status_failed, vips_linear1(image, &next, 1.0 / 257, 0.5, NULL));
    advance(&image, next);
    bits = 8;
  }
  STEP(cv_status_failed, vips_cast(image, &next, bits == 16 ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR, NULL));
  advance(&image, next);
  size_t length;
  picture->pixels = vips_image_write_to_memory(image, &length);
  picture->width = image->Xsize;
  picture->height = image->Ysize;
  picture->bands = image->Bands;
  picture->bits = bits;
  g_object_unref(image);
  if (!picture->pixels) return fail(cv_status_damaged, NULL, error, size);
  return cv_status_ok;
#undef STEP
}

void cv_picture_free(cv_picture *picture) {
  g_free(picture->pixels);
  g_free(picture->profile.bytes);
  g_free(picture->exif.bytes);
  g_free(picture->xmp.bytes);
  g_free(picture->fields.bytes);
  memset(picture, 0, sizeof *picture);
}

/* MARK: encode */

static void set_blob(VipsImage *image, const char *name, cv_blob blob) {
  if (blob.length) vips_image_set_blob_copy(image, name, blob.bytes, blob.length);
}

static void give_metadata(VipsImage *image, const cv_picture *picture) {
  set_blob(image, VIPS_META_ICC_NAME, picture->profile);
  set_blob(image, VIPS_META_EXIF_NAME, picture->exif);
  set_blob(image, VIPS_META_XMP_NAME, picture->xmp);
  vips_image_set_int(image, VIPS_META_ORIENTATION, 1); /* upright now, whatever the EXIF block says */
  /* libvips drops from the EXIF block whatever is not also a field of the image. */
  const char *at = picture->fields.bytes, *end = at + picture->fields.length;
  while (at && at < end) {
    const char *value = at + strlen(at) + 1;
    if (value >= end) break;
    if (!g_str_has_suffix(at, "-Orientation")) vips_image_set_string(image, at, value);
    at = value + strlen(value) + 1;
  }
}

cv_status cv_encode(const cv_picture *picture, cv_format format, int32_t quality, int32_t bits, int32_t convert,
                    void **bytes, size_t *length, char *error, size_t size) {
  *bytes = NULL;
  *length = 0;
  cv_status status = ready(error, size);
  if (status) return status;
  size_t count = (size_t)picture->width * picture->height, stored = count * picture->bands * (bits / 8);
  const void *pixels = picture->pixels;
  void *converted = NULL;
  if (convert) {
    int alpha = picture->bands - 3;
    converted = g_try_malloc(stored);
    if (!converted || transform(picture->profile.bytes, picture->profile.length, 0, pixels,
                                layout(3, alpha, picture->bits), converted, layout(3, alpha, bits), count)) {
      g_free(converted);
      return fail(cv_status_failed, "colours cannot be converted to its ICC profile", error, size);
    }
    pixels = converted;
  }
  VipsImage *plain = vips_image_new_from_memory(pixels, stored, picture->width, picture->height, picture->bands,
                                                bits == 16 ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR);
  VipsImage *image = NULL; /* metadata may be set on a copy alone */
  if (!plain || vips_copy(plain, &image, "interpretation",
                          bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, "xres",
                          picture->x_per_mm > 0 ? picture->x_per_mm : 1.0, "yres",
                          picture->y_per_mm > 0 ? picture->y_per_mm : 1.0, NULL)) {
    if (plain) g_object_unref(plain);
    g_free(converted);
    return fail(cv_status_failed, NULL, error, size);
  }
  give_metadata(image, picture);

  int bare = !picture->profile.length && !picture->exif.length && !picture->xmp.length && !picture->fields.length &&
             picture->x_per_mm <= 0;
  int failed = 1;
  switch (format) {
  case cv_format_png:
    failed = vips_pngsave_buffer(image, bytes, length, "compression", 6, "filter", VIPS_FOREIGN_PNG_FILTER_ALL, "strip",
                                 bare, NULL);
    break;
  case cv_format_jpeg:
    failed = vips_jpegsave_buffer(image, bytes, length, "Q", quality, "optimize_coding", TRUE, "strip", bare, NULL);
    break;
  case cv_format_webp:
    failed = vips_webpsave_buffer(image, bytes, length, "Q", quality, "lossless", quality >= 100, "strip", bare, NULL);
    break;
  case cv_format_tiff:
    failed = vips_tiffsave_buffer(image, bytes, length, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE,
                                  "predictor", VIPS_FOREIGN_TIFF_PREDICTOR_HORIZONTAL, "strip", bare, NULL);
    break;
  }
  g_object_unref(image);
  g_object_unref(plain);
  g_free(converted);
  if (failed) {
    cv_bytes_free(*bytes);
    *bytes = NULL;
    return fail(cv_status_failed, NULL, error, size);
  }
  return cv_status_ok;
}

void cv_bytes_free(void *bytes) { g_free(bytes); }
