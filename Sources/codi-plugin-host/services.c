/* The host's services as the child gives them: random numbers and cancellation are its own affair, the log goes to the
   program, and so do resampling and JPEG, whose code (and whose libraries) stay outside. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "host.h"

/* Two instances may run at once; the socket carries one conversation at a time. */
static pthread_mutex_t conversation = PTHREAD_MUTEX_INITIALIZER;

static void log_line(void *context, int32_t level, const char *message) {
  (void)context;
  if (!message) return;
  ch_reply reply;
  memset(&reply, 0, sizeof reply);
  reply.kind = CH_LOG;
  reply.status = level;
  strncpy(reply.message, message, sizeof reply.message - 1);
  pthread_mutex_lock(&conversation);
  say(&reply);
  pthread_mutex_unlock(&conversation);
}

static int32_t cancelled(void *context) {
  (void)context;
  if (runs_both) {
    /* Lets the other instance run in the middle of this one's call, also where there is one core for both. */
    const struct timespec moment = {0, 20000};
    nanosleep(&moment, NULL);
  }
  return (int32_t)__atomic_load_n(&control->cancelled, __ATOMIC_RELAXED);
}

/* Philox4x32-10, the same numbers as Registry's KeyedRandom. */
static void philox(codi_key key, uint64_t index, uint32_t out[4]) {
  uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = (uint32_t)key.high, c3 = (uint32_t)(key.high >> 32);
  uint32_t k0 = (uint32_t)key.low, k1 = (uint32_t)(key.low >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t first = (uint64_t)c0 * 0xD2511F53u, second = (uint64_t)c2 * 0xCD9E8D57u;
    uint32_t n0 = (uint32_t)(second >> 32) ^ c1 ^ k0, n2 = (uint32_t)(first >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = (uint32_t)second, c2 = n2, c3 = (uint32_t)first;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static void random_floats(void *context, codi_key key, uint64_t first, float *out, size_t count) {
  (void)context;
  uint32_t block[4];
  for (size_t i = 0; i < count; i++) {
    uint64_t position = first + i;
    if (i == 0 || position % 4 == 0) philox(key, position / 4, block);
    out[i] = (float)(block[position % 4] >> 8) * 0x1p-24f;
  }
}

static void random_bytes(void *context, codi_key key, uint64_t first, uint8_t *out, size_t count) {
  (void)context;
  uint32_t block[4];
  for (size_t i = 0; i < count; i++) {
    uint64_t position = first + i;
    if (i == 0 || position % 16 == 0) philox(key, position / 16, block);
    out[i] = (uint8_t)(block[position % 16 / 4] >> (8 * (position % 4)));
  }
}

static int32_t refuse(char *error, const char *sentence) {
  if (error) strncpy(error, sentence, CODI_ERROR_SIZE - 1), error[CODI_ERROR_SIZE - 1] = 0;
  return CODI_BAD_REGION;
}

static int is_valid(const codi_view *view) {
  return view && view->data && view->width > 0 && view->height > 0 && view->channels > 0 && view->channels <= 1024 &&
         view->row_stride >= (int64_t)view->width * view->channels;
}

static uint64_t count_of(const codi_view *view) {
  return (uint64_t)view->width * (uint64_t)view->height * (uint64_t)view->channels;
}

static void copy_rows(const codi_view *view, float *packed, int out) {
  const size_t row = (size_t)view->width * (size_t)view->channels;
  for (int32_t y = 0; y < view->height; y++) {
    float *there = view->data + y * view->row_stride;
    memcpy(out ? there : packed + (size_t)y * row, out ? packed + (size_t)y * row : there, row * sizeof(float));
  }
}

/* Lets the program make `out` of `in` (which may be the same): both travel packed through a room in shared memory. */
static int32_t ask(ch_reply *question, const codi_view *in, const codi_view *out, char *error) {
  const uint64_t before = count_of(in) * sizeof(float), after = in == out ? 0 : count_of(out) * sizeof(float);
  static ch_request answer; /* guarded by `conversation`, too large for a small stack */
  ch_reply room;
  memset(&room, 0, sizeof room);
  room.kind = CH_ROOM;
  room.bytes = before + after;
  pthread_mutex_lock(&conversation);
  say(&room);
  hear(&answer);
  int32_t status = answer.status;
  if (status == CODI_OK) {
    const ch_area area = answer.more;
    float *values = map_area(&area, 1);
    if (values) {
      copy_rows(in, values, 0);
      say(question);
      hear(&answer);
      status = answer.status;
      if (status == CODI_OK) copy_rows(out, values + (after ? before / sizeof(float) : 0), 1);
      unmap_area(&area, values);
    } else {
      status = CODI_OUT_OF_MEMORY;
    }
  }
  if (status != CODI_OK) {
    answer.message[CODI_ERROR_SIZE - 1] = 0;
    refuse(error, answer.message);
  }
  pthread_mutex_unlock(&conversation);
  return status;
}

static int32_t jpeg_roundtrip(void *context, codi_view *rgb, int32_t quality, char *error) {
  (void)context;
  if (!is_valid(rgb) || rgb->channels != 3 || quality < 1 || quality > 100)
    return refuse(error, "jpeg_roundtrip takes three channels and a quality of 1 to 100.");
  ch_reply question;
  memset(&question, 0, sizeof question);
  question.kind = CH_JPEG;
  question.width = rgb->width, question.height = rgb->height, question.channels = 3, question.argument = quality;
  return ask(&question, rgb, rgb, error);
}

static int32_t resize(void *context, const codi_view *in, codi_view *out, int32_t kernel, char *error) {
  (void)context;
  if (!is_valid(in) || !is_valid(out) || in->channels != out->channels)
    return refuse(error, "resize takes two pictures of the same number of channels.");
  ch_reply question;
  memset(&question, 0, sizeof question);
  question.kind = CH_RESIZE;
  question.width = in->width, question.height = in->height, question.channels = in->channels;
  question.new_width = out->width, question.new_height = out->height, question.argument = kernel;
  return ask(&question, in, out, error);
}

const codi_host services = {
    sizeof(codi_host), 0, NULL, log_line, cancelled, random_bytes, random_floats, jpeg_roundtrip, resize,
};
