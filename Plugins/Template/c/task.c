/* The task @NAME@: what each function must do is said in kit/codi_plugin.h. */
#include <stdlib.h>
#include <string.h>

#include "codi_plugin.h"

struct codi_task {
  const codi_host *host;
  float strength;
};

static int32_t fail(char *error, int32_t status, const char *sentence) {
  strncpy(error, sentence, CODI_ERROR_SIZE - 1);
  error[CODI_ERROR_SIZE - 1] = 0;
  return status;
}

int32_t codi_task_create(const codi_host *host, const codi_parameter *parameters, int32_t parameter_count,
                         uint64_t seed, codi_task **task, char *error) {
  (void)seed;
  float strength = 1;
  for (int32_t i = 0; i < parameter_count; i++) {
    const codi_parameter *parameter = &parameters[i];
    if (strcmp(parameter->name, "strength"))
      return fail(error, CODI_BAD_PARAMETER, "There is no other parameter than strength.");
    /* Written so that not-a-number is refused too. */
    if (parameter->kind != CODI_NUMBER || !(parameter->number >= 0 && parameter->number <= 1))
      return fail(error, CODI_BAD_PARAMETER, "strength must be a number from 0 to 1.");
    strength = (float)parameter->number;
  }
  codi_task *made = malloc(sizeof *made);
  if (!made) return fail(error, CODI_OUT_OF_MEMORY, "There is no memory for the task.");
  made->host = host;
  made->strength = strength;
  *task = made;
  return CODI_OK;
}

void codi_task_destroy(codi_task *task) { free(task); }

int32_t codi_task_output_size(codi_task *task, int32_t width, int32_t height, int32_t *output_width,
                              int32_t *output_height, char *error) {
  (void)task;
  if (width <= 0 || height <= 0) return fail(error, CODI_BAD_REGION, "A picture has at least one pixel.");
  *output_width = width;
  *output_height = height;
  return CODI_OK;
}

/* Whether `view` has three channels and holds all of `region`. */
static int holds(const codi_view *view, const codi_view *region) {
  return view->channels == 3 && view->width > 0 && view->height > 0 && view->x <= region->x && view->y <= region->y &&
         (int64_t)view->x + view->width >= (int64_t)region->x + region->width &&
         (int64_t)view->y + view->height >= (int64_t)region->y + region->height;
}

/* The row of `view` that lies at row `y` of `region`, from the region's first column on. */
static float *row_at(const codi_view *view, const codi_view *region, int32_t y) {
  return view->data + (y + region->y - view->y) * view->row_stride + (int64_t)(region->x - view->x) * 3;
}

static float clamp(float value) { return value > 0 ? value < 1 ? value : 1 : 0; }

int32_t codi_task_prepare(codi_task *task, const codi_view *inputs, int32_t input_count, codi_view *condition,
                          char *error) {
  if (input_count != 1 || condition->channels != 3 || !holds(&inputs[0], condition))
    return fail(error, CODI_BAD_REGION, "The condition needs one RGB picture that covers its region.");
  for (int32_t y = 0; y < condition->height; y++) {
    if (task->host->cancelled(task->host->context)) return fail(error, CODI_CANCELLED, "Cancelled.");
    const float *from = row_at(&inputs[0], condition, y);
    float *to = condition->data + y * condition->row_stride;
    for (int64_t i = 0; i < (int64_t)condition->width * 3; i++) to[i] = clamp(from[i]);
  }
  return CODI_OK;
}

int32_t codi_task_finish(codi_task *task, const codi_view *inputs, int32_t input_count, const codi_view *result,
                         codi_view *output, char *error) {
  if (input_count != 1 || output->channels != 3 || !holds(&inputs[0], output) || !holds(result, output))
    return fail(error, CODI_BAD_REGION, "The result needs one RGB picture, and both must cover the output's region.");
  for (int32_t y = 0; y < output->height; y++) {
    if (task->host->cancelled(task->host->context)) return fail(error, CODI_CANCELLED, "Cancelled.");
    const float *before = row_at(&inputs[0], output, y), *made = row_at(result, output, y);
    float *to = output->data + y * output->row_stride;
    for (int64_t i = 0; i < (int64_t)output->width * 3; i++)
      to[i] = clamp(task->strength * clamp(made[i]) + (1 - task->strength) * clamp(before[i]));
  }
  return CODI_OK;
}

int32_t codi_task_degrade(codi_task *task, const codi_batch *clean, const codi_key *keys, codi_batch *inputs,
                          int32_t input_count, char *error) {
  if (input_count != 1 || clean->channels != 3 || inputs[0].channels != 3 || inputs[0].width != clean->width ||
      inputs[0].height != clean->height || inputs[0].count != clean->count)
    return fail(error, CODI_BAD_REGION, "The input must be an RGB picture of the clean one's size.");
  const int64_t values = (int64_t)clean->width * clean->height * 3;
  for (int32_t sample = 0; sample < clean->count; sample++) {
    if (task->host->cancelled(task->host->context)) return fail(error, CODI_CANCELLED, "Cancelled.");
    float draw;
    task->host->random_floats(task->host->context, keys[sample], 0, &draw, 1);
    const float factor = 0.25f + 0.75f * draw;
    for (int64_t i = 0; i < values; i++)
      inputs[0].data[sample * values + i] = clamp(clean->data[sample * values + i] * factor);
  }
  return CODI_OK;
}

CODI_PLUGIN("@NAME@", "0.1.0", 0)
