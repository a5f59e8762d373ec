/* What the program and `codi-plugin-host` say to each other: one record a message over a SOCK_SEQPACKET pair, values
   of pictures in shared memory. Both ends come from one build, so the records carry no version.

   The child's end is hostile: the program believes nothing it reads but sizes of records, copies what it uses out of
   the shared memory before it looks at it, and takes every size from its own side. */
#ifndef CODI_PLUGIN_HOST_H
#define CODI_PLUGIN_HOST_H

#include <stdint.h>

#include "codi_plugin.h"

/* The child's open files, beside three of /dev/null. */
#define CH_SOCKET 3
#define CH_MEMORY 4
#define CH_LIBRARY 5

#define CH_MAX_VIEWS 16
#define CH_MAX_INSTANCES 16
#define CH_MESSAGE_SIZE 1024
#define CH_DESCRIPTOR_SIZE 168 /* sizeof(codi_plugin_descriptor) of ABI version 1 */

/* Kinds of requests, program to child. */
#define CH_CREATE 1
#define CH_DESTROY 2
#define CH_OUTPUT_SIZE 3
#define CH_PREPARE 4
#define CH_FINISH 5
#define CH_DEGRADE 6
#define CH_SERVED 7 /* the answer to CH_ROOM, CH_RESIZE and CH_JPEG */

/* Kinds of replies, child to program. */
#define CH_READY 32 /* once: `status` is CODI_OK, or `message` says why the library cannot be opened */
#define CH_DONE 33  /* the answer to a request */
#define CH_LOG 34
#define CH_ROOM 35   /* asks for `bytes` of shared memory for a service */
#define CH_RESIZE 36 /* resamples the picture at the room's start to the one behind it */
#define CH_JPEG 37

/* Pages of the shared memory; only these are mapped in the child, between two pages that nobody may touch. */
typedef struct ch_area {
  uint64_t offset, length; /* bytes, whole pages */
  uint64_t start;          /* bytes from the area's to the data's beginning */
} ch_area;

typedef struct ch_view {
  ch_area area;
  int64_t row_stride;
  int32_t width, height, channels, x, y, full_width, full_height;
  int32_t count; /* pictures of a batch, 1 for a view */
} ch_view;

/* One of the records at the beginning of the area of parameters; texts are bytes from the area's beginning. */
typedef struct ch_parameter {
  double number;
  uint32_t name, text;
  int32_t kind, reserved;
} ch_parameter;

typedef struct ch_request {
  uint32_t kind;
  uint32_t instance;
  /* Not 0: at the same time the same call of another instance runs on a second thread, into the view behind. */
  uint32_t second;
  int32_t status; /* of CH_SERVED */
  uint64_t seed;
  int32_t width, height;
  uint32_t parameter_count;
  uint32_t view_count; /* inputs, for CH_FINISH the result, then what is written; for CH_DEGRADE clean, then inputs */
  ch_area more;        /* parameters, keys, or the room for a service */
  ch_view views[CH_MAX_VIEWS];
  char message[CODI_ERROR_SIZE];
} ch_request;

typedef struct ch_reply {
  uint32_t kind;
  int32_t status; /* of the function; the level of CH_LOG */
  int32_t second; /* status of the second instance */
  int32_t width, height;
  int32_t new_width, new_height, channels, argument; /* of CH_RESIZE and CH_JPEG */
  int32_t landlock; /* the Landlock ABI in force, 0 without */
  int32_t seccomp, limits;
  uint64_t bytes;
  uint8_t descriptor[CH_DESCRIPTOR_SIZE];
  char message[CH_MESSAGE_SIZE];
} ch_reply;

/* How the child ends itself. */
#define CH_ORPHAN_EXIT 71    /* the program is gone */
#define CH_FORBIDDEN_EXIT 72 /* a system call was refused: its number is in the control page */

/* What a fault touched. */
#define CH_NOWHERE 0
#define CH_BEFORE 1
#define CH_INSIDE 2
#define CH_BEHIND 3

/* The first page of the shared memory. */
typedef struct ch_control {
  uint32_t cancelled;       /* set by the program */
  uint32_t forbidden;       /* the number of the system call that ended the child, and 1 */
  uint32_t is_fault;        /* a fault was caught; then: */
  uint32_t fault_view;      /* the view it lies beside or in */
  uint32_t fault_place;     /* CH_BEFORE … */
  uint32_t opened;          /* the library's constructors have run */
} ch_control;

#endif
