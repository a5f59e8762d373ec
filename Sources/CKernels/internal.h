#ifndef CK_INTERNAL_H
#define CK_INTERNAL_H
#include "ckernels.h"

#include <math.h>
#include <string.h>

#define CK_MAX_CHANNELS 4096

/* One pointer per kernel; every instruction set fills one such table. */
typedef struct ck_table {
#define CK_KERNEL(name, parameters, arguments) void (*name) parameters;
#include "ckernels.inc"
#undef CK_KERNEL
} ck_table;

/* 0 base, 1 x86-64-v3, 2 x86-64-v4: what is in use. */
int32_t ck_isa_level(void);

extern const ck_table ck_table_base;
#if defined(__x86_64__)
extern const ck_table ck_table_v3, ck_table_v4;
#endif
#endif
