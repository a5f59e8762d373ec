/* Shared memory as the plugin sees it: every view alone between two pages that nobody may touch, what it only reads
   write-protected; and what is noted when it goes astray all the same. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

static uint64_t page(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

void *map_area(const ch_area *area, int writable) {
  const uint64_t guard = page();
  char *whole = mmap(NULL, area->length + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (whole == MAP_FAILED) return NULL;
  void *inside = mmap(whole + guard, area->length, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                      MAP_SHARED | MAP_FIXED | MAP_POPULATE, CH_MEMORY, (off_t)area->offset);
  if (inside == MAP_FAILED) {
    munmap(whole, area->length + 2 * guard);
    return NULL;
  }
  return whole + guard + area->start;
}

void unmap_area(const ch_area *area, void *data) {
  munmap((char *)data - area->start - page(), area->length + 2 * page());
}

/* The views of the running call, for the handler below. */
static struct {
  const char *first;
  uint64_t length;
} watched[CH_MAX_VIEWS];

void watch_area(uint32_t index, const ch_area *area, const void *data) {
  if (index >= CH_MAX_VIEWS) return;
  watched[index].first = data ? (const char *)data - area->start : NULL;
  watched[index].length = data ? area->length : 0;
}

/* Notes what was touched, then lets the signal end the process. */
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  const char *touched = info->si_addr;
  control->is_fault = (uint32_t)number;
  for (uint32_t i = 0; i < CH_MAX_VIEWS; i++) {
    const char *first = watched[i].first, *end = first + watched[i].length;
    if (!first || touched < first - page() || touched >= end + page()) continue;
    control->fault_view = i;
    control->fault_place = touched < first ? CH_BEFORE : touched < end ? CH_INSIDE : CH_BEHIND;
  }
}

/* Notes the call that the filter refused. */
static void on_forbidden(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  control->forbidden = (uint32_t)info->si_syscall + 1;
  _exit(CH_FORBIDDEN_EXIT);
}

void catch_faults(void) {
  /* Whoever was here before, such as a language's runtime, would start a debugger. */
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  /* A stack of its own: also an endless recursion is noted. */
  static char stack[1 << 16];
  stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  action.sa_sigaction = on_forbidden;
  sigaction(SIGSYS, &action, NULL);
  /* The second fault, when the handler returns to where the first was, has the default action. */
  action.sa_flags |= (int)SA_RESETHAND;
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}
