/* Chooses the instruction set once, and runs work on libgomp's threads. */
#include "internal.h"

#include <stdlib.h>
#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int32_t limit = CK_ISA_AMX;

void ck_limit_isa(int32_t to) { __atomic_store_n(&limit, to, __ATOMIC_RELAXED); }

#if defined(__x86_64__)
/* Linux hands out the tiles' 8 KiB of state on request only, and remembers that for the process (arch/x86/Documentation,
 * xstate.rst). */
static int may_use_tiles(void) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static int32_t best_isa(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("x86-64-v4")) return __builtin_cpu_supports("x86-64-v3") ? CK_ISA_V3 : CK_ISA_BASE;
  if (!__builtin_cpu_supports("avx512bf16")) return CK_ISA_V4;
  return __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-tile") && may_use_tiles() ? CK_ISA_AMX
                                                                                                     : CK_ISA_BF16;
}
#endif

int32_t ck_isa_level(void) {
#if defined(__x86_64__)
  static int32_t supported = -1;
  int32_t s = __atomic_load_n(&supported, __ATOMIC_RELAXED);
  if (s < 0) {
    s = best_isa();
    const char *wish = getenv("CODI_MAX_ISA");
    if (wish && wish[0] >= '0' && wish[0] <= '4' && !wish[1] && wish[0] - '0' < s) s = wish[0] - '0';
    __atomic_store_n(&supported, s, __ATOMIC_RELAXED);
  }
  int32_t l = __atomic_load_n(&limit, __ATOMIC_RELAXED);
  return l < s ? l : s;
#else
  return CK_ISA_BASE;
#endif
}

static const ck_table *table(void) {
#if defined(__x86_64__)
  switch (ck_isa_level()) {
    case CK_ISA_BASE: break;
    case CK_ISA_V3: return &ck_table_v3;
    default: return &ck_table_v4;
  }
#endif
  return &ck_table_base;
}

const char *ck_isa_name(void) {
  static const char *const names[] = {"base", "x86-64-v3", "x86-64-v4", "x86-64-v4+bf16", "x86-64-v4+amx"};
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

int32_t ck_has_bf16(void) { return ck_isa_level() >= CK_ISA_BF16; }
