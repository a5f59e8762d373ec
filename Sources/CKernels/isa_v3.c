/* The kernels for x86-64-v3: AVX2 and FMA. */
#include "internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define ISA(name) name##_v3
#include "isa.inl"
#pragma clang attribute pop
#endif
