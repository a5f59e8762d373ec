#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "csandbox.h"

/* Numbers and records of the kernel's interface, here because headers of older systems know only the first ABI.
   https://docs.kernel.org/userspace-api/landlock.html */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define VERSION 1u
#define PATH_BENEATH 1
#define READ_FILE (1ull << 2)

struct ruleset {
  uint64_t files, nets, scopes;
};
struct path_beneath {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));

int32_t cs_landlock_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
  return abi > 0 ? (int32_t)abi : 0;
}

static void allow(int ruleset, const char *path) {
  int folder = open(path, O_PATH | O_CLOEXEC);
  if (folder < 0) return;
  struct path_beneath rule = {READ_FILE, folder};
  syscall(SYS_landlock_add_rule, ruleset, PATH_BENEATH, &rule, 0);
  close(folder);
}

int32_t cs_confine_files(const char *const folders[]) {
  int32_t abi = cs_landlock_abi();
  if (abi == 0) return 0;
  /* Everything that the ABI knows: 13 rights over files, then refer, truncate, ioctl; binding and connecting; signals
     and abstract sockets. A right that is handled and given by no rule is taken away. */
  struct ruleset rights = {(1ull << 13) - 1, 0, 0};
  size_t size = sizeof rights.files;
  if (abi >= 2) rights.files |= 1ull << 13;
  if (abi >= 3) rights.files |= 1ull << 14;
  if (abi >= 5) rights.files |= 1ull << 15;
  if (abi >= 4) {
    rights.nets = 3;
    size = offsetof(struct ruleset, scopes);
  }
  if (abi >= 6) {
    rights.scopes = 3;
    size = sizeof rights;
  }
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
  if (ruleset < 0) return 0;
  for (; *folders; folders++) allow(ruleset, *folders);
  long failed = syscall(SYS_landlock_restrict_self, ruleset, 0);
  close(ruleset);
  return failed ? 0 : abi;
}

int32_t cs_limit(uint64_t address_space) {
  const struct {
    int resource;
    rlim_t value;
  } limits[] = {{RLIMIT_AS, address_space}, {RLIMIT_FSIZE, 0},  {RLIMIT_NOFILE, 32}, {RLIMIT_NPROC, 0},
                {RLIMIT_CORE, 0},           {RLIMIT_MEMLOCK, 0}, {RLIMIT_MSGQUEUE, 0}};
  int all = 1;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit limit = {limits[i].value, limits[i].value};
    if (setrlimit(limits[i].resource, &limit)) all = 0;
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) all = 0;
  /* No other process of this user may look into this one. */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) all = 0;
  return all;
}
