/* The kernels for x86-64-v4: AVX-512 with its byte, word and vector-length extensions. */
#include "internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,no-prefer-256-bit"))), apply_to = function)
#define ISA(name) name##_v4
#define CK_FAST_BF16_NORMS
#include "isa.inl"
#pragma clang attribute pop
#endif
