/* Plain functions over libvips: no libvips type, no variadic call, one status per function.
   Every function may be called from any thread at any time; the library starts itself on the first call.
   On failure `error` (when not null) receives a short zero-terminated text and the status says which step failed. */
#ifndef CVIPS_H
#define CVIPS_H

#include <stddef.h>
#include <stdint.h>

typedef enum __attribute__((enum_extensibility(closed))) cv_status : int32_t {
  cv_status_ok = 0,
  cv_status_cannot_open,   /* the file cannot be opened or read */
  cv_status_not_a_picture, /* no known picture format begins with these bytes */
  cv_status_unsupported,   /* a picture, but of a format or with channels that this program does not read */
  cv_status_too_large,     /* width x height is above the caller's budget; nothing was decoded */
  cv_status_damaged,       /* the header or the pixels cannot be decoded */
  cv_status_failed         /* libvips refused a step that should succeed: encoding, memory, start-up */
} cv_status;

typedef enum __attribute__((enum_extensibility(closed))) cv_format : int32_t {
  cv_format_png,
  cv_format_jpeg,
  cv_format_webp,
  cv_format_tiff,
  cv_format_avif
} cv_format;

/* A file (`path`) or bytes in memory (`bytes`, `length`); the one that is not null counts. */
typedef struct cv_input {
  const char *path;
  const void *bytes;
  size_t length;
  int64_t maximum_pixels; /* of the stored picture; 0 = no limit; a quarter for cv_reader_open where there are no rows */
} cv_input;

typedef struct cv_header {
  int32_t width, height; /* upright: after the EXIF orientation */
  int32_t bands;         /* as stored: 1 grey, 2 grey + alpha, 3, 4 */
  int32_t bits;          /* per channel: 8 or 16 */
  int32_t has_alpha, has_profile;
  int32_t in_rows; /* 1 when rows can be decoded from top to bottom without the whole picture */
  char format[16]; /* "jpeg", "png", "webp", "tiff", "heif", "avif", "gif" */
} cv_header;

/* A length of zero means that there is none; `bytes` belongs to the picture. */
typedef struct cv_blob {
  void *bytes;
  size_t length;
} cv_blob;

typedef struct cv_picture {
  int32_t width, height;
  int32_t bands; /* 3, or 4 with straight alpha */
  int32_t bits;  /* 8: uint8_t, 16: uint16_t in native order */
  void *pixels;  /* interleaved, sRGB */
  cv_blob profile, exif, xmp;
  cv_blob fields; /* EXIF fields as name\0value\0 … */
  double x_per_mm, y_per_mm;
} cv_picture;

/* Reads the header only. */
cv_status cv_probe(const cv_input *input, cv_header *header, char *error, size_t error_size);

/* Decodes upright, in sRGB, 8 bits, alpha flattened on white, without metadata. `shrink` is 1, 2, 4 or 8. Release with
   cv_picture_free, also after a failure. */
cv_status cv_decode(const cv_input *input, int32_t shrink, cv_picture *picture, char *error, size_t error_size);
void cv_picture_free(cv_picture *picture);

/* A picture that is decoded row after row, upright, in sRGB. */
typedef struct cv_reader cv_reader;

/* Reads the header: everything in `picture` but its pixels, which are null. Release both; the picture also after a
   failure. */
cv_status cv_reader_open(const cv_input *input, cv_reader **reader, cv_picture *picture, char *error,
                         size_t error_size);
/* The next `count` rows, interleaved, of the depth and bands that the picture says. */
cv_status cv_reader_rows(cv_reader *reader, int32_t count, void *pixels, char *error, size_t error_size);
void cv_reader_close(cv_reader *reader);

/* A picture that is encoded row after row on a thread of its own. */
typedef struct cv_writer cv_writer;

/* Starts to encode `picture` (its blobs are only read, its pixels come later) to a file descriptor open for reading and
   writing, which stays the caller's, or to memory where it is -1. `bits` is the depth to write: without `convert` that of
   the pixels. A profile is embedded; with `convert` the pixels are first taken from sRGB to it. */
cv_status cv_writer_open(const cv_picture *picture, cv_format format, int32_t quality, int32_t bits, int32_t convert,
                         int descriptor, cv_writer **writer, char *error, size_t error_size);
/* Hands over the next `count` rows, which are copied; waits while the encoder is far behind. */
cv_status cv_writer_rows(cv_writer *writer, const void *pixels, int32_t count, char *error, size_t error_size);
/* After the last row: waits until all is written. */
cv_status cv_writer_finish(cv_writer *writer, char *error, size_t error_size);
/* After cv_writer_finish: what was written to memory; released with cv_bytes_free. */
void *cv_writer_take_bytes(cv_writer *writer, size_t *length);
/* Releases the writer; before cv_writer_finish it abandons the picture. */
void cv_writer_close(cv_writer *writer);
void cv_bytes_free(void *bytes);

/* libvips's version, such as "8.14.1"; static. */
const char *cv_version(void);

/* 1 when the profile moves no colour by more than one level of 255 from sRGB, 0 when it does, -1 when it is not a
   usable RGB profile. */
int32_t cv_profile_is_srgb(const void *bytes, size_t length);

#endif
