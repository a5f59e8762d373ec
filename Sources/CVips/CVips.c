#define _GNU_SOURCE /* memmem */
#include "CVips.h"

#include <lcms2.h>
#include <pthread.h>
#include <stdio.h>
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

/* Each scan of a progressive JPEG goes over all pixels, and an empty one takes thirty bytes: a small file could keep the
   decoder at work for hours. Writers make a dozen. */
enum { most_scans = 100 };

/* Adds the markers "start of scan" in `bytes`; within a scan no other FF DA can be, a thumbnail adds its own. */
static int count_scans(const unsigned char *bytes, size_t length, int *before) {
  int count = 0;
  for (size_t i = 0; i < length; i++) {
    count += *before == 0xFF && bytes[i] == 0xDA;
    *before = bytes[i];
  }
  return count;
}

static int has_too_many_scans(const cv_input *input) {
  int before = 0, count = 0;
  if (!input->path) return count_scans(input->bytes, input->length, &before) > most_scans;
  FILE *file = fopen(input->path, "rb");
  if (!file) return 0; /* libvips has it open, and will say what is wrong */
  unsigned char part[1 << 16];
  for (size_t n; count <= most_scans && (n = fread(part, 1, sizeof part, file)) > 0;)
    count += count_scans(part, n, &before);
  fclose(file);
  return count > most_scans;
}

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
  if (input->maximum_pixels > 0 && strcmp(*format, "jpeg") == 0 && vips_image_get_typeof(opened, "jpeg-multiscan") &&
      has_too_many_scans(input)) {
    char text[96];
    g_snprintf(text, sizeof text, "it has more than %d scans", most_scans);
    g_object_unref(opened);
    g_object_unref(source);
    return fail(cv_status_unsupported, text, error, size);
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

/* Whether rows are known from top to bottom, before the whole picture is. */
static int comes_in_rows(VipsImage *image, const char *format) {
  int scans = 0; /* of a progressive JPEG */
  if (vips_image_get_typeof(image, "jpeg-multiscan")) vips_image_get_int(image, "jpeg-multiscan", &scans);
  return (strcmp(format, "jpeg") == 0 || strcmp(format, "png") == 0 || strcmp(format, "tiff") == 0) && !scans &&
         vips_image_get_orientation(image) <= 1 && !vips_image_get_typeof(image, "interlaced");
}

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
  header->in_rows = comes_in_rows(image, format);
  const char *codec = NULL;
  if (vips_image_get_typeof(image, "heif-compression") && !vips_image_get_string(image, "heif-compression", &codec) &&
      strcmp(codec, "av1") == 0)
    format = "avif";
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

/* Between a profile and sRGB; null, or -1, when the profile cannot be used. Not through libvips, whose transforms interpolate in a coarse lattice (dark saturated colours move by up to 15 levels): NOOPTIMIZE
   forbids that. */
static cmsHTRANSFORM transform_open(const void *profile, size_t length, int to_srgb, cmsUInt32Number in_layout,
                                    cmsUInt32Number out_layout) {
  cmsHPROFILE own = cmsOpenProfileFromMem(profile, (cmsUInt32Number)length);
  if (!own) return NULL;
  cmsHPROFILE srgb = cmsCreate_sRGBProfile();
  cmsHTRANSFORM chain =
      srgb ? cmsCreateTransform(to_srgb ? own : srgb, in_layout, to_srgb ? srgb : own, out_layout,
                                INTENT_RELATIVE_COLORIMETRIC,
                                cmsFLAGS_NOOPTIMIZE | cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_COPY_ALPHA)
           : NULL;
  if (srgb) cmsCloseProfile(srgb);
  cmsCloseProfile(own);
  return chain;
}

static int transform(const void *profile, size_t length, int to_srgb, const void *in, cmsUInt32Number in_layout,
                     void *out, cmsUInt32Number out_layout, size_t count) {
  cmsHTRANSFORM chain = transform_open(profile, length, to_srgb, in_layout, out_layout);
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

/* A block of HEIF or AVIF that libvips took for something else: it knows a packet by its element, and not one with the
   processing instruction <?xpacket before it, which the XMP specification puts there. */
static void *find_packet(VipsImage *image, const char *name, GValue *value, void *data) {
  static const char element[] = "<x:xmpmeta";
  (void)image;
  if (!g_str_has_prefix(name, "heif-mime-") || G_VALUE_TYPE(value) != VIPS_TYPE_BLOB) return NULL;
  size_t length;
  const void *bytes = vips_value_get_blob(value, &length);
  if (!memmem(bytes, length, element, sizeof element - 1)) return NULL;
  *(cv_blob *)data = copy_blob(bytes, length);
  return data;
}

static cv_blob get_xmp(VipsImage *image) {
  cv_blob packet = get_blob(image, VIPS_META_XMP_NAME);
  if (!packet.length) vips_image_map(image, find_packet, &packet);
  return packet;
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
  picture->xmp = get_xmp(image);
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

/* The profile to take the picture's colours through: 1 when there is one, 0 when it is sRGB's, so that nothing is to be
   done, -1 when there is none. It is used only when the picture has one: asking libvips for sRGB shifts the colours of an
   untagged picture. A profile that cannot be used counts as none. */
static int usable_profile(VipsImage *image, int channels, const void **bytes, size_t *length) {
  VipsInterpretation space = image->Type;
  int device = space == VIPS_INTERPRETATION_sRGB || space == VIPS_INTERPRETATION_RGB ||
               space == VIPS_INTERPRETATION_RGB16 || space == VIPS_INTERPRETATION_B_W ||
               space == VIPS_INTERPRETATION_GREY16 || space == VIPS_INTERPRETATION_CMYK;
  if (!device || !vips_image_get_typeof(image, VIPS_META_ICC_NAME) ||
      vips_image_get_blob(image, VIPS_META_ICC_NAME, bytes, length) || profile_channels(*bytes, *length) != channels)
    return -1;
  return cv_profile_is_srgb(*bytes, *length) != 1;
}

/* To three channels of sRGB. */
static int colour(VipsImage **image, int bits) {
  VipsImage *next = NULL;
  const void *bytes;
  size_t length;
  if (usable_profile(*image, (*image)->Bands, &bytes, &length) > 0) {
    if (!to_srgb(*image, &next, bits, bytes, length)) {
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

/* Whatever has neither 8 nor 16 bits a channel becomes RGB of 16. */
static int to_depth(VipsImage **image) {
  if ((*image)->BandFmt == VIPS_FORMAT_UCHAR || (*image)->BandFmt == VIPS_FORMAT_USHORT) return 0;
  VipsImage *next = NULL;
  if (vips_colourspace(*image, &next, VIPS_INTERPRETATION_RGB16, NULL)) return -1;
  advance(image, next);
  return 0;
}

/* Takes a last channel of opacity apart, so that no colour conversion touches it. */
static int split_alpha(VipsImage **image, VipsImage **alpha) {
  VipsImage *next = NULL;
  if (!vips_image_hasalpha(*image)) return 0;
  if (vips_extract_band(*image, alpha, (*image)->Bands - 1, NULL) ||
      vips_extract_band(*image, &next, 0, "n", (*image)->Bands - 1, NULL))
    return -1;
  advance(image, next);
  return 0;
}

static int join_alpha(VipsImage **image, VipsImage *alpha, int bits) {
  VipsImage *joined = NULL, *next = NULL;
  if (!alpha) return 0;
  if (vips_bandjoin2(*image, alpha, &joined, NULL)) return -1;
  advance(image, joined);
  if (vips_copy(*image, &next, "interpretation", bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB,
                NULL))
    return -1;
  advance(image, next);
  return 0;
}

static const char wrong_channels[] = "its channels are neither grey nor RGB nor CMYK";

cv_status cv_decode(const cv_input *input, int32_t shrink, cv_picture *picture, char *error, size_t size) {
  memset(picture, 0, sizeof *picture);
  cv_status status = ready(error, size);
  if (status) return status;
  VipsImage *image, *next = NULL, *alpha = NULL;
  const char *format, *text = NULL;
  int32_t shrunk;
  if ((status = open_input(input, shrink, &image, &format, &shrunk, error, size))) return status;

#define STEP(kind, call) \
  do { \
    next = NULL; \
    if (call) { \
      if (next) g_object_unref(next); \
      status = kind; \
      goto end; \
    } \
    if (next) advance(&image, next); \
  } while (0)

  STEP(cv_status_damaged, !(next = vips_image_copy_memory(image))); /* every pixel is decoded here */
  STEP(cv_status_damaged, vips_autorot(image, &next, NULL));
  STEP(cv_status_unsupported, to_depth(&image));
  int bits = deep(image) ? 16 : 8;
  STEP(cv_status_unsupported, split_alpha(&image, &alpha));
  STEP(cv_status_unsupported, colour(&image, bits));
  if (image->Bands != 3) {
    text = wrong_channels;
    status = cv_status_unsupported;
    goto end;
  }
  STEP(cv_status_failed, join_alpha(&image, alpha, bits));
  if (alpha) STEP(cv_status_failed, flatten_on_white(image, &next, bits == 16 ? 65535 : 255));
  if (shrink > shrunk) STEP(cv_status_failed, vips_shrink(image, &next, shrink, shrink, NULL));
  if (bits == 16) STEP(cv_status_failed, vips_linear1(image, &next, 1.0 / 257, 0.5, NULL));
  STEP(cv_status_failed, vips_cast(image, &next, VIPS_FORMAT_UCHAR, NULL));
  size_t length;
  picture->pixels = vips_image_write_to_memory(image, &length);
  picture->width = image->Xsize;
  picture->height = image->Ysize;
  picture->bands = image->Bands;
  picture->bits = 8;
  if (!picture->pixels) status = cv_status_damaged;
end:
  if (alpha) g_object_unref(alpha);
  g_object_unref(image);
  return status ? fail(status, text, error, size) : cv_status_ok;
}

/* MARK: decode row by row */

struct cv_reader {
  VipsImage *image;
  cmsHTRANSFORM chain; /* to sRGB; null where the image is sRGB already */
  size_t row;          /* bytes of a row that is handed out */
  int32_t next;
};

cv_status cv_reader_open(const cv_input *input, cv_reader **reader, cv_picture *picture, char *error, size_t size) {
  memset(picture, 0, sizeof *picture);
  *reader = NULL;
  cv_status status = ready(error, size);
  if (status) return status;
  VipsImage *image, *next = NULL, *alpha = NULL;
  const char *format, *text = NULL;
  int32_t shrunk;
  cmsHTRANSFORM chain = NULL;
  if ((status = open_input(input, 1, &image, &format, &shrunk, error, size))) return status;
  if (input->maximum_pixels > 0 && !comes_in_rows(image, format) &&
      (int64_t)image->Xsize * image->Ysize > input->maximum_pixels / 4) {
    char wide[128];
    g_snprintf(wide, sizeof wide, "%d x %d pixels, which must be decoded as a whole: a quarter is allowed", image->Xsize,
               image->Ysize);
    g_object_unref(image);
    return fail(cv_status_too_large, wide, error, size);
  }

  keep_metadata(image, picture);
  if (vips_image_get_orientation(image) > 1) { /* rows come in another order, so every pixel is needed first */
    STEP(cv_status_damaged, !(next = vips_image_copy_memory(image)));
    STEP(cv_status_damaged, vips_autorot(image, &next, NULL));
  }
  STEP(cv_status_unsupported, to_depth(&image));
  int bits = deep(image) ? 16 : 8;
  int has_alpha = vips_image_hasalpha(image);
  const void *bytes;
  size_t length;
  int channels = image->Bands - has_alpha;
  int foreign = usable_profile(image, channels, &bytes, &length);
  if (foreign > 0) chain = transform_open(bytes, length, 1, layout(channels, has_alpha, bits), layout(3, has_alpha, bits));
  if (foreign >= 0 && (chain || foreign == 0)) keep_profile(bytes, length, picture);
  vips_error_clear();
  if (!chain) {
    STEP(cv_status_unsupported, split_alpha(&image, &alpha));
    STEP(cv_status_unsupported, vips_colourspace(image, &next, bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, NULL));
    if (image->Bands != 3) {
      text = wrong_channels;
      status = cv_status_unsupported;
      goto end;
    }
    STEP(cv_status_failed, join_alpha(&image, alpha, bits));
  }
  STEP(cv_status_failed, vips_cast(image, &next, bits == 16 ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR, NULL));
  picture->width = image->Xsize;
  picture->height = image->Ysize;
  picture->bands = 3 + has_alpha;
  picture->bits = bits;
  cv_reader *made = g_new0(cv_reader, 1);
  made->image = g_object_ref(image);
  made->row = (size_t)picture->width * (size_t)picture->bands * (size_t)(bits / 8);
  made->chain = chain;
  chain = NULL;
  *reader = made;
end:
  if (chain) cmsDeleteTransform(chain);
  if (alpha) g_object_unref(alpha);
  g_object_unref(image);
  if (status) cv_picture_free(picture);
  return status ? fail(status, text, error, size) : cv_status_ok;
#undef STEP
}

cv_status cv_reader_rows(cv_reader *reader, int32_t count, void *pixels, char *error, size_t size) {
  enum { strip = 16 };
  VipsImage *image = reader->image;
  VipsRegion *region = vips_region_new(image); /* belongs to the calling thread, which may change between calls */
  char *to = pixels;
  cv_status status = cv_status_ok;
  while (count > 0 && !status) {
    VipsRect part = {0, reader->next, image->Xsize, MIN(count, strip)};
    if (reader->next + part.height > image->Ysize || vips_region_prepare(region, &part)) {
      status = cv_status_damaged;
      break;
    }
    for (int y = 0; y < part.height; y++, to += reader->row) {
      const void *row = VIPS_REGION_ADDR(region, 0, part.top + y);
      if (reader->chain) cmsDoTransform(reader->chain, row, to, (cmsUInt32Number)image->Xsize);
      else memcpy(to, row, reader->row);
    }
    reader->next += part.height;
    count -= part.height;
  }
  g_object_unref(region);
  return status ? fail(status, NULL, error, size) : cv_status_ok;
}

void cv_reader_close(cv_reader *reader) {
  if (!reader) return;
  g_object_unref(reader->image);
  if (reader->chain) cmsDeleteTransform(reader->chain);
  g_free(reader);
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

/* Writes a finished or a growing image; 0, or -1 with libvips's error set. */
static int save(VipsImage *image, VipsTarget *target, cv_format format, int32_t quality, int bare) {
  switch (format) {
  case cv_format_png: /* photographs at 6 take 2.5 times as long and become 0.1 % smaller */
    return vips_pngsave_target(image, target, "compression", 3, "filter", VIPS_FOREIGN_PNG_FILTER_ALL, "strip", bare,
                               NULL);
  case cv_format_jpeg: {
    /* Best codes need the coefficients of the whole picture at once, 6 bytes a pixel: not where pictures come in rows. */
    gboolean optimise = (int64_t)image->Xsize * image->Ysize < 1 << 24;
    return vips_jpegsave_target(image, target, "Q", quality, "optimize_coding", optimise, "strip", bare, NULL);
  }
  case cv_format_webp:
    return vips_webpsave_target(image, target, "Q", quality, "lossless", quality >= 100, "strip", bare, NULL);
  case cv_format_tiff:
    return vips_tiffsave_target(image, target, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, "predictor",
                                VIPS_FOREIGN_TIFF_PREDICTOR_HORIZONTAL, "strip", bare, NULL);
  case cv_format_avif: /* 8 or 12 bits; more effort costs twice the time a level and saves little */
    return vips_heifsave_target(image, target, "Q", quality, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "effort",
                                2, "strip", bare, NULL);
  }
  return -1;
}

/* 1 when there is nothing to write beside the pixels. */
static int is_bare(const cv_picture *picture) {
  return !picture->profile.length && !picture->exif.length && !picture->xmp.length && !picture->fields.length &&
         picture->x_per_mm <= 0;
}

/* One block of rows on its way to the encoder. */
typedef struct block {
  int32_t first, rows;
  struct block *next;
  char pixels[];
} block;

struct cv_writer {
  VipsImage *image;
  VipsTarget *target;
  cv_format format;
  int32_t quality, bare;
  size_t row; /* bytes */
  cmsHTRANSFORM chain; /* from sRGB; null where nothing is to be converted */
  size_t source_row;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  block *head, *tail; /* guarded by `lock`, as all that follows */
  int32_t pushed, waiting, hungry, ended, aborted;
  int failed;
  char text[512];
};

/* What libvips calls for the pixels of `out->valid`; requests come from top to bottom, so what lies above is let go. */
static int generate(VipsRegion *out, void *sequence, void *data, void *unused, gboolean *stop) {
  (void)sequence, (void)unused, (void)stop;
  cv_writer *writer = data;
  VipsRect area = out->valid;
  size_t pixel = VIPS_IMAGE_SIZEOF_PEL(writer->image);
  pthread_mutex_lock(&writer->lock);
  while (writer->head && writer->head->first + writer->head->rows <= area.top) {
    block *old = writer->head;
    if (!(writer->head = old->next)) writer->tail = NULL;
    writer->waiting--;
    g_free(old);
    pthread_cond_broadcast(&writer->changed);
  }
  int result = 0;
  for (int y = area.top; y < area.top + area.height && !result; y++) {
    while (y >= writer->pushed && !writer->aborted) {
      writer->hungry = 1;
      pthread_cond_broadcast(&writer->changed);
      pthread_cond_wait(&writer->changed, &writer->lock);
    }
    writer->hungry = 0;
    block *at = writer->head;
    while (at && at->first + at->rows <= y) at = at->next;
    if (writer->aborted || !at || at->first > y) {
      vips_error("codi", writer->aborted ? "abandoned" : "rows were asked for out of order");
      result = -1;
    } else {
      memcpy(VIPS_REGION_ADDR(out, area.left, y), at->pixels + (size_t)(y - at->first) * writer->row + area.left * pixel,
             area.width * pixel);
    }
  }
  pthread_mutex_unlock(&writer->lock);
  return result;
}

static void *encode(void *data) {
  cv_writer *writer = data;
  int failed = save(writer->image, writer->target, writer->format, writer->quality, writer->bare);
  pthread_mutex_lock(&writer->lock);
  writer->failed = failed;
  if (failed) fail(cv_status_failed, NULL, writer->text, sizeof writer->text);
  writer->ended = 1;
  pthread_cond_broadcast(&writer->changed);
  pthread_mutex_unlock(&writer->lock);
  vips_thread_shutdown();
  return NULL;
}

cv_status cv_writer_open(const cv_picture *picture, cv_format format, int32_t quality, int32_t bits, int32_t convert,
                         int descriptor, cv_writer **writer, char *error, size_t size) {
  *writer = NULL;
  cv_status status = ready(error, size);
  if (status) return status;
  int alpha = picture->bands - 3;
  cmsHTRANSFORM chain = NULL;
  if (convert && !(chain = transform_open(picture->profile.bytes, picture->profile.length, 0,
                                          layout(3, alpha, picture->bits), layout(3, alpha, bits))))
    return fail(cv_status_failed, "colours cannot be converted to its ICC profile", error, size);
  VipsImage *image = vips_image_new();
  VipsTarget *target = descriptor >= 0 ? vips_target_new_to_descriptor(descriptor) : vips_target_new_to_memory();
  cv_writer *made = g_new0(cv_writer, 1);
  vips_image_init_fields(image, picture->width, picture->height, picture->bands,
                         bits == 16 ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                         bits == 16 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB,
                         picture->x_per_mm > 0 ? picture->x_per_mm : 1.0, picture->y_per_mm > 0 ? picture->y_per_mm : 1.0);
  *made = (cv_writer){.image = image, .target = target, .format = format, .quality = quality, .bare = is_bare(picture),
                      .row = (size_t)picture->width * picture->bands * (bits / 8), .chain = chain,
                      .source_row = (size_t)picture->width * picture->bands * (picture->bits / 8)};
  pthread_mutex_init(&made->lock, NULL);
  pthread_cond_init(&made->changed, NULL);
  give_metadata(image, picture);
  if (!target || vips_image_pipelinev(image, VIPS_DEMAND_STYLE_THINSTRIP, NULL) ||
      vips_image_generate(image, NULL, generate, NULL, made, NULL) ||
      pthread_create(&made->thread, NULL, encode, made)) {
    made->ended = 2; /* no thread to wait for */
    fail(cv_status_failed, NULL, error, size);
    cv_writer_close(made);
    return cv_status_failed;
  }
  *writer = made;
  return cv_status_ok;
}

/* What the encoder said, once it has ended. */
static cv_status writer_status(cv_writer *writer, char *error, size_t size) {
  if (!writer->failed) return cv_status_ok;
  if (error && size) g_strlcpy(error, writer->text, size);
  return cv_status_failed;
}

cv_status cv_writer_rows(cv_writer *writer, const void *pixels, int32_t count, char *error, size_t size) {
  enum { ahead = 2 }; /* blocks that may wait for the encoder, beside the one that it is at */
  block *added = g_try_malloc(sizeof(block) + (size_t)count * writer->row);
  if (!added) {
    if (error && size) g_strlcpy(error, "out of memory", size);
    return cv_status_failed;
  }
  if (writer->chain)
    for (int32_t y = 0; y < count; y++)
      cmsDoTransform(writer->chain, (const char *)pixels + (size_t)y * writer->source_row,
                     added->pixels + (size_t)y * writer->row, (cmsUInt32Number)writer->image->Xsize);
  else
    memcpy(added->pixels, pixels, (size_t)count * writer->row);
  pthread_mutex_lock(&writer->lock);
  /* One request may take more rows than the blocks that usually wait hold together. */
  while (writer->waiting > ahead && !writer->hungry && !writer->ended) pthread_cond_wait(&writer->changed, &writer->lock);
  cv_status status = cv_status_ok;
  if (writer->ended) {
    status = writer_status(writer, error, size);
    g_free(added);
  } else {
    *added = (block){.first = writer->pushed, .rows = count, .next = NULL};
    if (writer->tail) writer->tail->next = added;
    else writer->head = added;
    writer->tail = added;
    writer->pushed += count;
    writer->waiting++;
    pthread_cond_broadcast(&writer->changed);
  }
  pthread_mutex_unlock(&writer->lock);
  return status;
}

static void join(cv_writer *writer) {
  if (writer->ended == 2) return;
  pthread_join(writer->thread, NULL);
  writer->ended = 2;
}

cv_status cv_writer_finish(cv_writer *writer, char *error, size_t size) {
  join(writer);
  return writer_status(writer, error, size);
}

void *cv_writer_take_bytes(cv_writer *writer, size_t *length) {
  VipsBlob *blob = NULL; /* filled when the encoder ends the target */
  g_object_get(writer->target, "blob", &blob, NULL);
  *length = 0;
  if (!blob) return NULL;
  const void *bytes = vips_blob_get(blob, length);
  void *copy = g_memdup2(bytes, *length);
  vips_area_unref(VIPS_AREA(blob));
  return copy;
}

void cv_writer_close(cv_writer *writer) {
  if (!writer) return;
  pthread_mutex_lock(&writer->lock);
  writer->aborted = 1;
  pthread_cond_broadcast(&writer->changed);
  pthread_mutex_unlock(&writer->lock);
  join(writer);
  g_object_unref(writer->image);
  if (writer->target) g_object_unref(writer->target);
  while (writer->head) {
    block *next = writer->head->next;
    g_free(writer->head);
    writer->head = next;
  }
  if (writer->chain) cmsDeleteTransform(writer->chain);
  pthread_mutex_destroy(&writer->lock);
  pthread_cond_destroy(&writer->changed);
  g_free(writer);
}

void cv_bytes_free(void *bytes) { g_free(bytes); }

const char *cv_version(void) { return vips_version_string(); }
