/* The kernels for the compiler's default target. */
#include "internal.h"

#define ISA(name) name##_base
#include "isa.inl"
