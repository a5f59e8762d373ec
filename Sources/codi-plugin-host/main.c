/* The isolated child that runs a task plugin: codi-plugin-host BYTES LANDLOCK THREADS FOLDER…

   It is started by codi with a socket, a piece of shared memory and the plugin's library as open files, gives up every
   right it does not need, only then opens the library, gives up the rest, and answers calls until the program is gone.
   C, because every line in here is inside the walls with the plugin. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csandbox.h"
#include "host.h"
#include "memory.h"

_Static_assert(sizeof(codi_plugin_descriptor) == CH_DESCRIPTOR_SIZE, "the descriptor of ABI version 1");

ch_control *control;
int32_t runs_both;
static codi_plugin_descriptor plugin;
static codi_task *instances[CH_MAX_INSTANCES];

void say(const ch_reply *reply) {
  ssize_t count;
  do count = write(CH_SOCKET, reply, sizeof *reply);
  while (count < 0 && errno == EINTR);
  if (count != (ssize_t)sizeof *reply) _exit(CH_ORPHAN_EXIT);
}

void hear(ch_request *request) {
  ssize_t count;
  do count = read(CH_SOCKET, request, sizeof *request);
  while (count < 0 && errno == EINTR);
  if (count != (ssize_t)sizeof *request) _exit(CH_ORPHAN_EXIT);
}

/* One call of `prepare` or `finish`; it may run on the second thread. */
struct call {
  uint32_t kind;
  codi_task *task;
  const codi_view *views;
  int32_t inputs;
  codi_view *output;
  char error[CODI_ERROR_SIZE];
  int32_t status;
};

static void run(struct call *call) {
  call->status =
      call->kind == CH_PREPARE
          ? plugin.prepare(call->task, call->views, call->inputs, call->output, call->error)
          : plugin.finish(call->task, call->views, call->inputs - 1, &call->views[call->inputs - 1], call->output,
                          call->error);
}

/* The second thread, made before the filter that forbids making threads; it waits for work. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct call *handed_over;
static int32_t at_the_start;

/* Both threads leave here together, if the machine has two cores to spare. */
static void start_together(void) {
  __atomic_add_fetch(&at_the_start, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&at_the_start, __ATOMIC_SEQ_CST) < 2) sched_yield();
}

static void *second_thread(void *unused) {
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!handed_over) pthread_cond_wait(&changed, &lock);
    struct call *call = handed_over;
    pthread_mutex_unlock(&lock);
    start_together();
    run(call);
    pthread_mutex_lock(&lock);
    handed_over = NULL;
    pthread_cond_broadcast(&changed);
  }
  return unused;
}

static void run_both(struct call *first, struct call *second) {
  pthread_mutex_lock(&lock);
  at_the_start = 0;
  runs_both = 1;
  handed_over = second;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  start_together();
  run(first);
  pthread_mutex_lock(&lock);
  while (handed_over) pthread_cond_wait(&changed, &lock);
  runs_both = 0;
  pthread_mutex_unlock(&lock);
}

static codi_view view_of(const ch_view *view, float *data) {
  codi_view made = {data, view->row_stride, view->width, view->height, view->channels,
                    view->x, view->y, view->full_width, view->full_height};
  return made;
}

static codi_batch batch_of(const ch_view *view, float *data) {
  codi_batch made = {data, view->count, view->height, view->width, view->channels};
  return made;
}

static void keep_message(ch_reply *reply, const char *error) {
  memcpy(reply->message, error, CODI_ERROR_SIZE);
  reply->message[CODI_ERROR_SIZE - 1] = 0;
}

/* `prepare`, `finish` and `degrade`: maps the views, runs the function, unmaps them. */
static void compute(const ch_request *request, ch_reply *reply) {
  float *data[CH_MAX_VIEWS] = {0};
  const uint32_t count = request->view_count > CH_MAX_VIEWS ? CH_MAX_VIEWS : request->view_count;
  const uint32_t written = request->second ? 2 : 1;
  static struct call first, second;
  memset(&first, 0, sizeof first);
  memset(&second, 0, sizeof second);
  codi_key *keys = NULL;
  int is_mapped = 1;
  for (uint32_t i = 0; i < count; i++) {
    const int writable = request->kind == CH_DEGRADE ? i > 0 : i + written >= count;
    data[i] = map_area(&request->views[i].area, writable);
    watch_area(i, &request->views[i].area, data[i]);
    is_mapped = is_mapped && data[i];
  }
  if (request->kind == CH_DEGRADE) {
    keys = map_area(&request->more, 0);
    is_mapped = is_mapped && keys;
  }
  if (!is_mapped) {
    first.status = CODI_OUT_OF_MEMORY;
    strcpy(first.error, "There is no address space for the pictures.");
  } else if (request->kind == CH_DEGRADE) {
    const codi_batch clean = batch_of(&request->views[0], data[0]);
    codi_batch inputs[CH_MAX_VIEWS];
    for (uint32_t i = 1; i < count; i++) inputs[i - 1] = batch_of(&request->views[i], data[i]);
    first.status = plugin.degrade(instances[request->instance], &clean, keys, inputs, (int32_t)count - 1, first.error);
  } else {
    codi_view views[CH_MAX_VIEWS];
    for (uint32_t i = 0; i < count; i++) views[i] = view_of(&request->views[i], data[i]);
    first.kind = second.kind = request->kind;
    first.views = second.views = views;
    first.inputs = second.inputs = (int32_t)(count - written);
    first.task = instances[request->instance];
    first.output = &views[count - written];
    if (request->second) {
      second.task = instances[request->second % CH_MAX_INSTANCES];
      second.output = &views[count - 1];
      run_both(&first, &second);
    } else {
      run(&first);
    }
  }
  for (uint32_t i = 0; i < count; i++) {
    watch_area(i, &request->views[i].area, NULL);
    if (data[i]) unmap_area(&request->views[i].area, data[i]);
  }
  if (keys) unmap_area(&request->more, keys);
  reply->status = first.status;
  reply->second = second.status;
  keep_message(reply, first.status == CODI_OK ? second.error : first.error);
}

static void create(const ch_request *request, ch_reply *reply) {
  char error[CODI_ERROR_SIZE] = "";
  const uint32_t count = request->parameter_count;
  const char *texts = count ? map_area(&request->more, 0) : NULL;
  codi_parameter *parameters = calloc(count + 1, sizeof *parameters);
  if ((count && !texts) || !parameters) {
    reply->status = CODI_OUT_OF_MEMORY;
    return;
  }
  for (uint32_t i = 0; i < count; i++) {
    ch_parameter record;
    memcpy(&record, texts + i * sizeof record, sizeof record);
    parameters[i] = (codi_parameter){texts + record.name, texts + record.text, record.number, record.kind};
  }
  codi_task *task = NULL;
  reply->status = plugin.create(&services, parameters, (int32_t)count, request->seed, &task, error);
  if (reply->status == CODI_OK && !task) {
    reply->status = CODI_FAILED;
    strcpy(error, "It reported success without an instance.");
  }
  instances[request->instance] = reply->status == CODI_OK ? task : NULL;
  keep_message(reply, error);
  free(parameters);
  if (texts) unmap_area(&request->more, (void *)texts);
}

static void answer(const ch_request *request, ch_reply *reply) {
  char error[CODI_ERROR_SIZE] = "";
  switch (request->kind) {
    case CH_CREATE: create(request, reply); return;
    case CH_DESTROY:
      plugin.destroy(instances[request->instance]);
      instances[request->instance] = NULL;
      return;
    case CH_OUTPUT_SIZE:
      reply->status = plugin.output_size(instances[request->instance], request->width, request->height, &reply->width,
                                         &reply->height, error);
      keep_message(reply, error);
      return;
    default: compute(request, reply);
  }
}

/* Opens the library and tells the program what its descriptor says; the program judges it. */
static void open_library(ch_reply *reply) {
  void *library = dlopen("/proc/self/fd/5", RTLD_NOW | RTLD_LOCAL);
  const void *symbol = library ? dlsym(library, "codi_plugin") : NULL;
  control->opened = 1;
  if (symbol) {
    /* A descriptor of another ABI may be shorter, and end where its library does: what lies behind the head is read only
     * where the head says that it is there. */
    memcpy(&plugin.head, symbol, sizeof plugin.head);
    if (!memcmp(plugin.head.magic, CODI_PLUGIN_MAGIC, sizeof plugin.head.magic) &&
        plugin.head.abi_version == CODI_PLUGIN_ABI && plugin.head.struct_size == sizeof plugin)
      memcpy(&plugin, symbol, sizeof plugin);
    memcpy(reply->descriptor, &plugin, sizeof plugin);
  } else {
    const char *why = library ? NULL : dlerror();
    reply->status = CODI_FAILED;
    snprintf(reply->message, sizeof reply->message, "%s",
             library ? "The library exports no `codi_plugin`." : why ? why : "unknown");
  }
}

static int is_our_file(int file, mode_t type) {
  struct stat status;
  return !fstat(file, &status) && (status.st_mode & S_IFMT) == type;
}

int main(int count, char *arguments[]) {
  if (count < 4 || !is_our_file(CH_SOCKET, S_IFSOCK) || !is_our_file(CH_MEMORY, S_IFREG) ||
      !is_our_file(CH_LIBRARY, S_IFREG)) {
    fputs("codi-plugin-host runs the plugins of codi and is started by it; `codi doctor` tells whether it works.\n",
          stderr);
    return 2;
  }
  control = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, CH_MEMORY, 0);
  if (control == MAP_FAILED) return 70;
  const char *const nothing[] = {NULL};
  ch_reply reply;
  memset(&reply, 0, sizeof reply);
  reply.kind = CH_READY;

  catch_faults();
  reply.limits = cs_limit(strtoull(arguments[1], NULL, 10));
  const int uses_landlock = arguments[2][0] == '1';
  if (uses_landlock) reply.landlock = cs_confine_files((const char *const *)&arguments[4]);
  pthread_t thread;
  if (arguments[3][0] == '2' && pthread_create(&thread, NULL, second_thread, NULL)) return 70;
  reply.seccomp = cs_filter_calls(1);
  if (reply.seccomp) {
    open_library(&reply);
    close(CH_LIBRARY);
    if (uses_landlock) cs_confine_files(nothing);
    reply.seccomp = cs_filter_calls(0);
  }
  say(&reply);

  static ch_request request;
  for (;;) {
    hear(&request);
    memset(&reply, 0, sizeof reply);
    reply.kind = CH_DONE;
    if (request.instance < CH_MAX_INSTANCES) answer(&request, &reply);
    say(&reply);
  }
}
