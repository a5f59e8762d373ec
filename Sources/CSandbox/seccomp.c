#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "csandbox.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

/* What an argument must be for a call to pass. */
enum test { ALWAYS, NEVER_QUIETLY, NO_BITS, SOME_BITS, EQUAL, AT_MOST };

struct rule {
  long call;
  enum test test;
  int argument;
  uint32_t value; /* for NEVER_QUIETLY the error that the caller sees */
};

/* Memory, clocks, the end of the process, and messages to the program. Pure computing, with what libc does on its own.
   Writing goes to /dev/null and the socket only. `abort` and `raise` signal their own thread. */
static const struct rule computing[] = {
    {SYS_read, ALWAYS, 0, 0},
    {SYS_write, AT_MOST, 0, CH_SOCKET},
    {SYS_close, ALWAYS, 0, 0},
    {SYS_fstat, ALWAYS, 0, 0},
    {SYS_lseek, ALWAYS, 0, 0},
    {SYS_munmap, ALWAYS, 0, 0},
    {SYS_mremap, ALWAYS, 0, 0},
    {SYS_madvise, ALWAYS, 0, 0},
    {SYS_brk, ALWAYS, 0, 0},
    {SYS_futex, ALWAYS, 0, 0},
    {SYS_rt_sigprocmask, ALWAYS, 0, 0},
    {SYS_rt_sigreturn, ALWAYS, 0, 0},
    {SYS_sigaltstack, ALWAYS, 0, 0},
    {SYS_clock_gettime, ALWAYS, 0, 0},
    {SYS_clock_getres, ALWAYS, 0, 0},
    {SYS_clock_nanosleep, ALWAYS, 0, 0},
    {SYS_nanosleep, ALWAYS, 0, 0},
    {SYS_gettimeofday, ALWAYS, 0, 0},
    {SYS_sched_yield, ALWAYS, 0, 0},
    {SYS_sched_getaffinity, ALWAYS, 0, 0},
    {SYS_restart_syscall, ALWAYS, 0, 0},
    {SYS_getpid, ALWAYS, 0, 0},
    {SYS_gettid, ALWAYS, 0, 0},
    {SYS_getrandom, ALWAYS, 0, 0},
    {SYS_getrusage, ALWAYS, 0, 0},
    {SYS_sysinfo, ALWAYS, 0, 0},
    {SYS_uname, ALWAYS, 0, 0},
    {SYS_exit, ALWAYS, 0, 0},
    {SYS_exit_group, ALWAYS, 0, 0},
    {SYS_ioctl, NEVER_QUIETLY, 0, ENOTTY}, /* `isatty`, asked by printf */
    {SYS_prlimit64, EQUAL, 2, 0},          /* asking, not setting */
#ifdef SYS_rseq
    {SYS_rseq, ALWAYS, 0, 0},
#endif
    {SYS_set_robust_list, ALWAYS, 0, 0},
};

/* While the library is opened: also what ld.so does, and what tightens the walls afterwards. */
static const struct rule opening_only[] = {
    {SYS_openat, NO_BITS, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND},
    {SYS_newfstatat, ALWAYS, 0, 0},
    {SYS_mmap, ALWAYS, 0, 0},
    {SYS_mprotect, ALWAYS, 0, 0},
    {SYS_pread64, ALWAYS, 0, 0},
    {SYS_seccomp, ALWAYS, 0, 0},
    {SYS_landlock_create_ruleset, ALWAYS, 0, 0},
    {SYS_landlock_restrict_self, ALWAYS, 0, 0},
#ifdef SYS_readlink
    {SYS_readlink, NEVER_QUIETLY, 0, EACCES},
    {SYS_access, NEVER_QUIETLY, 0, EACCES},
#endif
    /* Swift's runtime tries; the handlers of the host stay. */
    {SYS_rt_sigaction, NEVER_QUIETLY, 0, EPERM},
    {SYS_readlinkat, NEVER_QUIETLY, 0, EACCES},
    {SYS_faccessat, NEVER_QUIETLY, 0, EACCES},
};

/* Afterwards no file is opened, and no memory becomes code. */
static const struct rule afterwards_only[] = {
    {SYS_newfstatat, SOME_BITS, 3, AT_EMPTY_PATH},
    {SYS_mmap, NO_BITS, 2, PROT_EXEC},
    {SYS_mprotect, NO_BITS, 2, PROT_EXEC},
};

struct program {
  struct sock_filter code[256];
  unsigned short length;
};

static void add(struct program *program, struct sock_filter instruction) {
  if (program->length < sizeof program->code / sizeof *program->code) program->code[program->length] = instruction;
  program->length++;
}

#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define RETURN(action) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (action))
#define JUMP(how, value, then, otherwise) \
  (struct sock_filter) BPF_JUMP(BPF_JMP | (how) | BPF_K, (uint32_t)(value), (then), (otherwise))

/* Arguments are 64 bits wide; all that are looked at are `int` or small flags, whose upper half the kernel ignores or
   refuses, but for the pointer of `prlimit64`, which must be null in both halves. */
static void add_rule(struct program *program, const struct rule *rule) {
  const uint32_t low = offsetof(struct seccomp_data, args) + 8 * (uint32_t)rule->argument;
  switch (rule->test) {
    case ALWAYS:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 1));
      add(program, RETURN(SECCOMP_RET_ALLOW));
      return;
    case NEVER_QUIETLY:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 1));
      add(program, RETURN(SECCOMP_RET_ERRNO | rule->value));
      return;
    case NO_BITS:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 4));
      add(program, LOAD(low));
      add(program, JUMP(BPF_JSET, rule->value, 0, 1));
      add(program, RETURN(SECCOMP_RET_TRAP));
      add(program, RETURN(SECCOMP_RET_ALLOW));
      return;
    case SOME_BITS:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 4));
      add(program, LOAD(low));
      add(program, JUMP(BPF_JSET, rule->value, 1, 0));
      add(program, RETURN(SECCOMP_RET_TRAP));
      add(program, RETURN(SECCOMP_RET_ALLOW));
      return;
    case AT_MOST:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 4));
      add(program, LOAD(low));
      add(program, JUMP(BPF_JGT, rule->value, 0, 1));
      add(program, RETURN(SECCOMP_RET_TRAP));
      add(program, RETURN(SECCOMP_RET_ALLOW));
      return;
    case EQUAL:
      add(program, JUMP(BPF_JEQ, rule->call, 0, 6));
      add(program, LOAD(low));
      add(program, JUMP(BPF_JEQ, rule->value, 0, 3));
      add(program, LOAD(low + 4));
      add(program, JUMP(BPF_JEQ, 0, 0, 1));
      add(program, RETURN(SECCOMP_RET_ALLOW));
      add(program, RETURN(SECCOMP_RET_TRAP));
      return;
  }
}

int32_t cs_has_seccomp(void) { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0; }

int32_t cs_filter_calls(int32_t opening) {
  if (!ARCHITECTURE) return 0;
  struct program program = {.length = 0};
  add(&program, LOAD(offsetof(struct seccomp_data, arch)));
  add(&program, JUMP(BPF_JEQ, ARCHITECTURE, 1, 0));
  add(&program, RETURN(SECCOMP_RET_KILL_PROCESS));
  add(&program, LOAD(offsetof(struct seccomp_data, nr)));
  /* `kill` is not here; `tgkill` only within the process, and every number above 2^30 (x32) is unknown below. */
  const struct rule own = {SYS_tgkill, EQUAL, 0, (uint32_t)getpid()};
  add_rule(&program, &own);
  for (size_t i = 0; i < sizeof computing / sizeof *computing; i++) add_rule(&program, &computing[i]);
  const struct rule *rest = opening ? opening_only : afterwards_only;
  const size_t count = opening ? sizeof opening_only / sizeof *rest : sizeof afterwards_only / sizeof *rest;
  for (size_t i = 0; i < count; i++) add_rule(&program, &rest[i]);
  add(&program, RETURN(SECCOMP_RET_TRAP));
  if (program.length > sizeof program.code / sizeof *program.code) return 0;
  struct sock_fprog filter = {program.length, program.code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

const char *cs_call_name(int64_t number) {
  static const struct {
    long call;
    const char *name;
  } names[] = {
      {SYS_openat, "openat"},   {SYS_socket, "socket"},     {SYS_connect, "connect"},   {SYS_sendto, "sendto"},
      {SYS_bind, "bind"},       {SYS_clone, "clone"},       {SYS_execve, "execve"},     {SYS_execveat, "execveat"},
      {SYS_kill, "kill"},       {SYS_tgkill, "tgkill"},     {SYS_tkill, "tkill"},       {SYS_ptrace, "ptrace"},
      {SYS_unlinkat, "unlinkat"}, {SYS_mkdirat, "mkdirat"}, {SYS_renameat2, "renameat2"}, {SYS_mount, "mount"},
      {SYS_mmap, "mmap"},       {SYS_mprotect, "mprotect"}, {SYS_rt_sigaction, "rt_sigaction"}, {SYS_prctl, "prctl"},
      {SYS_setrlimit, "setrlimit"}, {SYS_prlimit64, "prlimit64"}, {SYS_write, "write"}, {SYS_writev, "writev"},
      {SYS_memfd_create, "memfd_create"}, {SYS_process_vm_writev, "process_vm_writev"}, {SYS_bpf, "bpf"},
      {SYS_process_vm_readv, "process_vm_readv"}, {SYS_newfstatat, "newfstatat"}, {SYS_getdents64, "getdents64"},
      {SYS_dup3, "dup3"},       {SYS_sendmsg, "sendmsg"},   {SYS_recvmsg, "recvmsg"},   {SYS_setsid, "setsid"},
      {SYS_fcntl, "fcntl"},     {SYS_ftruncate, "ftruncate"}, {SYS_timer_create, "timer_create"},
      {SYS_getppid, "getppid"}, {SYS_rt_sigqueueinfo, "rt_sigqueueinfo"}, {SYS_perf_event_open, "perf_event_open"},
#ifdef SYS_open
      {SYS_open, "open"},       {SYS_fork, "fork"},         {SYS_vfork, "vfork"},       {SYS_unlink, "unlink"},
      {SYS_creat, "creat"},     {SYS_dup2, "dup2"},         {SYS_readlink, "readlink"}, {SYS_stat, "stat"},
#endif
#ifdef SYS_clone3
      {SYS_clone3, "clone3"},
#endif
#ifdef SYS_io_uring_setup
      {SYS_io_uring_setup, "io_uring_setup"}, {SYS_pidfd_open, "pidfd_open"},
#endif
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].call == number) return names[i].name;
  return "unnamed";
}
