/* The walls around a plugin: what Linux offers a process without privileges to give up its own rights. */
#ifndef CODI_SANDBOX_H
#define CODI_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

#include "plugin_host.h"

/* The highest Landlock ABI of the running kernel; 0 where it has none or it is switched off. */
int32_t cs_landlock_abi(void);

/* Whether the running kernel filters system calls. */
int32_t cs_has_seccomp(void);

/* The file of the library that defines `symbol` in this process; null when it is in none. */
const char *cs_library_of(const char *symbol);

/* The name of one of the calls that plugins have no business with; "unnamed" for others. */
const char *cs_call_name(int64_t number);

/* Starts `path` with the three files at CH_SOCKET, CH_MEMORY and CH_LIBRARY, /dev/null at 0 to 2 and no other one, no
   environment, the root folder, default signals and a process group of its own. 0, or an errno. */
int32_t cs_spawn(const char *path, char *const arguments[], int32_t socket, int32_t memory, int32_t library,
                 pid_t *child);

/* A pair of connected sockets that keep messages apart, both closed on exec. 0, or an errno. */
int32_t cs_socket_pair(int32_t *ours, int32_t *theirs);

/* A nameless file in memory, closed on exec, of `length` bytes; it cannot be made smaller. -1 and errno. */
int32_t cs_shared_memory(uint64_t length);

/* A nameless file in memory with these bytes, which nobody can change any more. -1 and errno. */
int32_t cs_sealed_copy(const void *bytes, uint64_t length);

/* Seconds of processor time that a child may use from now on. */
void cs_limit_cpu(pid_t child, uint64_t seconds);

/* In the child, before anything of the plugin runs. */

/* Limits of address space (bytes), open files, size of written files (none), processes (none), core files (none), and
   no new privileges. 1 when all of them hold. */
int32_t cs_limit(uint64_t address_space);

/* Nothing below the root may be opened but files below `folders`, for reading: `folders` ends with a null pointer.
   Without folders nothing at all. Nets and other processes are out of reach where the kernel's Landlock can do that.
   Returns the ABI in force, 0 without Landlock. */
int32_t cs_confine_files(const char *const folders[]);

/* Only the system calls that opening a library needs (`opening`), or that computing needs; any other one is SIGSYS.
   For all threads of the process. 1 when it holds. */
int32_t cs_filter_calls(int32_t opening);

#endif
