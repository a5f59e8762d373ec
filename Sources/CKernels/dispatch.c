/* Chooses the instruction set once, and runs work on libgomp's threads. */
#include "internal.h"

#include <stdlib.h>

static int32_t limit = 2;

void ck_limit_isa(int32_t to) { __atomic_store_n(&limit, to, __ATOMIC_RELAXED); }

int32_t ck_isa_level(void) {
#if defined(__x86_64__)
  static int32_t supported = -1;
  int32_t s = __atomic_load_n(&supported, __ATOMIC_RELAXED);
  if (s < 0) {
    __builtin_cpu_init();
    s = __builtin_cpu_supports("x86-64-v4") ? 2 : __builtin_cpu_supports("x86-64-v3") ? 1 : 0;
    const char *wish = getenv("CODI_MAX_ISA");
    if (wish && wish[0] >= '0' && wish[0] <= '2' && !wish[1] && wish[0] - '0' < s) s = wish[0] - '0';
    __atomic_store_n(&supported, s, __ATOMIC_RELAXED);
  }
  int32_t l = __atomic_load_n(&limit, __ATOMIC_RELAXED);
  return l < s ? l : s;
#else
  return 0;
#endif
}

static const ck_table *table(void) {
#if defined(__x86_64__)
  switch (ck_isa_level()) {
    case 2: return &ck_table_v4;
    case 1: return &ck_table_v3;
    default: break;
  }
#endif
  return &ck_table_base;
}

const char *ck_isa_name(void) {
  static const char *const names[] = {"base", "x86-64-v3", "x86-64-v4"};
  return names[ck_isa_level()];
}

#define CK_KERNEL(name, parameters, arguments) \
  void name parameters { table()->name arguments; }
#include "ckernels.inc"
#undef CK_KERNEL

extern void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void), omp_get_num_threads(void), omp_get_max_threads(void);
extern void omp_set_num_threads(int);

typedef struct region {
  void (*body)(void *, int32_t, int32_t);
  void *context;
} region;

static void enter(void *data) {
  const region *r = data;
  r->body(r->context, omp_get_thread_num(), omp_get_num_threads());
}

void ck_parallel(void (*body)(void *, int32_t, int32_t), void *context) {
  region r = {body, context};
  GOMP_parallel(enter, &r, 0, 0);
}

int32_t ck_threads(void) { return omp_get_max_threads(); }

void ck_set_threads(int32_t threads) { omp_set_num_threads(threads > 0 ? threads : 1); }

int32_t ck_has_bf16(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") ? 1 : 0;
#else
  return 0;
#endif
}
