/* The parts of the child: what it knows, its memory, its services. */
#ifndef HOST_H
#define HOST_H

#include "codi_plugin.h"
#include "plugin_host.h"

extern ch_control *control;

/* Whether two instances run at the same time. */
extern int32_t runs_both;

/* Sends one record; ends the process when the program is gone. */
void say(const ch_reply *reply);
/* Waits for one record; ends the process when the program is gone. */
void hear(ch_request *request);

/* Maps an area of the shared memory between two pages that nobody may touch; null when there is no room. */
void *map_area(const ch_area *area, int writable);
void unmap_area(const ch_area *area, void *data);

/* The table that every instance gets. */
extern const codi_host services;

#endif
