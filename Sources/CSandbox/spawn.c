#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "csandbox.h"

const char *cs_library_of(const char *symbol) {
  Dl_info info;
  void *address = dlsym(RTLD_DEFAULT, symbol);
  return address && dladdr(address, &info) ? info.dli_fname : NULL;
}

int32_t cs_socket_pair(int32_t *ours, int32_t *theirs) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
  *ours = pair[0];
  *theirs = pair[1];
  return 0;
}

int32_t cs_shared_memory(uint64_t length) {
  int file = memfd_create("codi-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  /* Against shrinking: reading behind the end would be SIGBUS here. */
  if (ftruncate(file, (off_t)length) || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL)) {
    int error = errno;
    close(file);
    errno = error;
    return -1;
  }
  return file;
}

int32_t cs_sealed_copy(const void *bytes, uint64_t length) {
  int file = memfd_create("codi-library", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  const char *at = bytes;
  for (uint64_t left = length; left > 0;) {
    ssize_t count = write(file, at, left);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) goto failed;
    at += count;
    left -= (uint64_t)count;
  }
  if (!fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) return file;
failed:;
  int error = errno;
  close(file);
  errno = error;
  return -1;
}

int32_t cs_spawn(const char *path, char *const arguments[], int32_t socket, int32_t memory, int32_t library,
                 pid_t *child) {
  /* Above the numbers they get in the child, so that none of them is closed by the next. */
  int from[3] = {-1, -1, -1}, given[3] = {socket, memory, library};
  int error = 0;
  for (int i = 0; i < 3; i++) {
    from[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 16);
    if (from[i] < 0) error = errno;
  }
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  for (int i = 0; !error && i < 3; i++) error = posix_spawn_file_actions_addopen(&files, i, "/dev/null", O_RDWR, 0);
  for (int i = 0; !error && i < 3; i++) error = posix_spawn_file_actions_adddup2(&files, from[i], CH_SOCKET + i);
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(&files, CH_LIBRARY + 1);
  if (!error) error = posix_spawn_file_actions_addchdir_np(&files, "/");
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  /* A group of its own: Ctrl-C reaches the program alone, which then tidies up. */
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  char *empty[] = {NULL};
  if (!error) error = posix_spawn(child, path, &files, &attributes, arguments, empty);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  for (int i = 0; i < 3; i++)
    if (from[i] >= 0) close(from[i]);
  return error;
}

void cs_limit_cpu(pid_t child, uint64_t seconds) {
  clockid_t clock;
  struct timespec used = {0, 0};
  if (!clock_getcpuclockid(child, &clock)) clock_gettime(clock, &used);
  /* The hard limit, a day, is for a child that outlives the program with its signals blocked. */
  struct rlimit limit = {(rlim_t)used.tv_sec + seconds + 1, 24 * 60 * 60};
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  prlimit(child, RLIMIT_CPU, &limit, NULL);
}
