/* The one header a CoDi task plugin is compiled against. C17; also reads as C++ and imports into Swift.
   Prose and a worked example: Documentation/PluginABI.md.

   Threads   Every function of an instance may be called from any thread, one call at a time per instance.
             Different instances may run at the same time, so a plugin keeps no mutable globals.
   Owners    The host owns every view, batch, array and string it hands in; they are valid until the call returns.
             The plugin owns its instance. The host's table is valid until `destroy` returns.
   Failure   A call returns CODI_OK or another status. For the latter it may write one sentence (UTF-8, ended by a
             zero byte) into `error`, a host-owned buffer of CODI_ERROR_SIZE bytes. The host then discards what the
             call wrote; the instance stays usable. Nothing unwinds across: no exception, no longjmp, no exit. */
#ifndef CODI_PLUGIN_H
#define CODI_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CODI_PLUGIN_ABI 1
#define CODI_PLUGIN_MAGIC "CODIPLG" /* eight bytes with the zero byte behind it */
#define CODI_ERROR_SIZE 512

/* Statuses. */
#define CODI_OK 0
#define CODI_FAILED 1           /* anything not named below */
#define CODI_BAD_PARAMETER 2    /* `create`: unknown name, wrong kind or out of range */
#define CODI_BAD_REGION 3       /* a size, a channel count or a region that does not reach as far as the halo */
#define CODI_CANCELLED 4        /* `cancelled` answered yes and the call stopped early */
#define CODI_OUT_OF_MEMORY 5

/* Levels of `log`. */
#define CODI_LOG_DEBUG 0
#define CODI_LOG_INFO 1
#define CODI_LOG_WARNING 2
#define CODI_LOG_ERROR 3

/* Kernels of `resize`. All use half-pixel centres; when reducing they widen with the factor (antialiased), and weights
   are renormalised at the edges: Pillow's convention. Bicubic has a = -0.5, Lanczos has three lobes. */
#define CODI_RESIZE_BOX 0
#define CODI_RESIZE_BILINEAR 1
#define CODI_RESIZE_BICUBIC 2
#define CODI_RESIZE_LANCZOS 3

/* Kinds of a parameter's value. */
#define CODI_NUMBER 0 /* `number`; booleans are 0 and 1 */
#define CODI_TEXT 1   /* `text` */

/* A region of one picture: float32, NHWC, R G B in sRGB coding, nominally 0...1. */
typedef struct codi_view {
  float *data;                      /* channel 0 of the region's first pixel */
  int64_t row_stride;               /* floats from one row to the next, at least width * channels */
  int32_t width, height, channels;  /* the region's */
  int32_t x, y;                     /* the region's first pixel in the whole picture */
  int32_t full_width, full_height;  /* the whole picture's */
} codi_view;

/* Whole pictures of one size, contiguous: [count, height, width, channels], float32, 0...1. */
typedef struct codi_batch {
  float *data;
  int32_t count, height, width, channels;
} codi_batch;

/* A key of the host's counter-based generator: equal keys, equal numbers, on every machine and for ever. */
typedef struct codi_key {
  uint64_t low, high;
} codi_key;

typedef struct codi_parameter {
  const char *name;
  const char *text; /* never null; empty for CODI_NUMBER */
  double number;    /* 0 for CODI_TEXT */
  int32_t kind;
} codi_parameter;

/* What the host does for a plugin, which brings no libraries of its own. Call these only while the host is in a call
   of this plugin, and from the thread of that call. `context` goes back unread as the first argument.
   Later hosts append members: one beyond `struct_size` does not exist. */
typedef struct codi_host {
  uint32_t struct_size, reserved;
  void *context;
  /* Reports one line; CODI_LOG_* as level. Cannot fail. */
  void (*log)(void *context, int32_t level, const char *message);
  /* 1 when the call should clean up and return CODI_CANCELLED. Cheap: ask about once a row or once a sample. */
  int32_t (*cancelled)(void *context);
  /* Fills `out` with bytes `first ..< first + count` of the key's stream. Cannot fail. */
  void (*random_bytes)(void *context, codi_key key, uint64_t first, uint8_t *out, size_t count);
  /* Fills `out` with numbers `first ..< first + count` of the key's stream, uniform in 0 ..< 1 in steps of 2^-24.
     Number i is made of bytes 4i ..< 4i + 4. Cannot fail. */
  void (*random_floats)(void *context, codi_key key, uint64_t first, float *out, size_t count);
  /* Rounds the three-channel region to 8 bits, writes it as JPEG of `quality` 1...100 (below 90 with colours at half
     size) and reads it back, in place. CODI_OK or a failure with a sentence in `error`; the region is then unchanged. */
  int32_t (*jpeg_roundtrip)(void *context, codi_view *rgb, int32_t quality, char *error);
  /* Resamples the region `in`, taken as a whole picture, to the region `out`; equal channel counts, memory apart.
     Values are not clamped. CODI_OK, or a failure with a sentence in `error`. */
  int32_t (*resize)(void *context, const codi_view *in, codi_view *out, int32_t kernel, char *error);
} codi_host;

/* One configured task. Its contents are the plugin's own affair. */
typedef struct codi_task codi_task;

/* Leading part, readable before any call and free of pointers: first for ever, in every ABI version. */
typedef struct codi_plugin_head {
  char magic[8];
  uint32_t abi_version;
  uint32_t struct_size; /* of the whole descriptor */
  char name[64];        /* the manifest's `task`, ended by a zero byte */
  char version[32];     /* semantic version of the plugin's code */
} codi_plugin_head;

/* The functions a plugin implements under these fixed names. CODI_PLUGIN puts them into the descriptor. */

/* Makes an instance. `parameters` are those of the manifest with the user's values or the defaults, and in training
   also those of the recipe's task section; a name the plugin does not know is CODI_BAD_PARAMETER. `seed` is for what is
   not tied to a sample's key. On CODI_OK `*task` is set and goes to `destroy` once; else it is left alone. */
int32_t codi_task_create(const codi_host *host, const codi_parameter *parameters, int32_t parameter_count,
                         uint64_t seed, codi_task **task, char *error);

/* Frees the instance. Cannot fail. */
void codi_task_destroy(codi_task *task);

/* Size of the finished picture, which is also the condition's and the network's, for inputs of this size. */
int32_t codi_task_output_size(codi_task *task, int32_t width, int32_t height, int32_t *output_width,
                              int32_t *output_height, char *error);

/* Fills `condition`, a region of the output picture with the manifest's `condition.channels`, values 0...1.
   `inputs` are in the manifest's order. With R the condition's region, widened by the halo (in output pixels) and
   divided by the scale (outwards to whole pixels), each input holds R clamped at its edges, or more.
   A pixel's value depends on the whole picture alone, never on the region it is computed in, bit for bit. */
int32_t codi_task_prepare(codi_task *task, const codi_view *inputs, int32_t input_count, codi_view *condition,
                          char *error);

/* Writes `output`, a region of the finished picture. `result` is what the network made (any finite values): the same
   region widened by the halo, clamped at the picture's edges, or more. `inputs` as for `prepare`, seen from `output`.
   `output` may share memory with no other view. Independent of the region, as `prepare`. */
int32_t codi_task_finish(codi_task *task, const codi_view *inputs, int32_t input_count, const codi_view *result,
                         codi_view *output, char *error);

/* Makes of clean pictures what a user would have brought, for training: fills the batches `inputs`, in the manifest's
   order, sized clean size / scale. `clean` has three channels, R G B; for a task with an input of kind `depth` it has
   four, R G B and inverse depth, 0 at the picture's farthest pixel and 1 at its nearest. `keys` has one key per sample:
   sample i depends on clean picture i, key i and the parameters alone. The host then calls `prepare` on each sample, so that training and conversion share one path. */
int32_t codi_task_degrade(codi_task *task, const codi_batch *clean, const codi_key *keys, codi_batch *inputs,
                          int32_t input_count, char *error);

/* What a plugin exports: one data symbol `codi_plugin` of this type, and nothing else. */
typedef struct codi_plugin_descriptor {
  codi_plugin_head head;
  uint32_t halo; /* output pixels that `prepare` and `finish` need around a region; at most the manifest's `halo` */
  uint32_t reserved;
  int32_t (*create)(const codi_host *, const codi_parameter *, int32_t, uint64_t, codi_task **, char *);
  void (*destroy)(codi_task *);
  int32_t (*output_size)(codi_task *, int32_t, int32_t, int32_t *, int32_t *, char *);
  int32_t (*prepare)(codi_task *, const codi_view *, int32_t, codi_view *, char *);
  int32_t (*finish)(codi_task *, const codi_view *, int32_t, const codi_view *, codi_view *, char *);
  int32_t (*degrade)(codi_task *, const codi_batch *, const codi_key *, codi_batch *, int32_t, char *);
} codi_plugin_descriptor;

/* The whole of a plugin's entry.c: CODI_PLUGIN("super-resolution", "1.0.0", 40) */
#define CODI_PLUGIN(task_name, plugin_version, halo_pixels)                                                     \
  extern const codi_plugin_descriptor codi_plugin;                                                              \
  __attribute__((visibility("default"), used)) const codi_plugin_descriptor codi_plugin = {                     \
      {CODI_PLUGIN_MAGIC, CODI_PLUGIN_ABI, sizeof(codi_plugin_descriptor), task_name, plugin_version},          \
      halo_pixels,                                                                                              \
      0,                                                                                                        \
      codi_task_create,                                                                                         \
      codi_task_destroy,                                                                                        \
      codi_task_output_size,                                                                                    \
      codi_task_prepare,                                                                                        \
      codi_task_finish,                                                                                         \
      codi_task_degrade};

#ifdef __cplusplus
}
#endif
#endif
