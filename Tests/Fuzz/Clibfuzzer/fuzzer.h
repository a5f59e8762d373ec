/* The one function of libFuzzer that is called; it comes with -sanitize=fuzzer and has no header of its own. */
#include <stddef.h>
#include <stdint.h>

/* Changes `size` bytes at random, to at most `most`. Returns how many there are now. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
