#ifndef MEMORY_H
#define MEMORY_H

#include "host.h"

/* From here on faults and forbidden system calls are noted in the control page. */
void catch_faults(void);

/* Tells where view number `index` of the running call lies; null when it is gone. */
void watch_area(uint32_t index, const ch_area *area, const void *data);

#endif
