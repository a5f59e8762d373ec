/* Sums over the processes that mpirun starts, through the Open MPI that is on the machine. libmpi is loaded when it is asked
   for, so that the program builds and runs without it: only a training of several processes needs it. Call from one thread. */
#ifndef CMPI_H
#define CMPI_H

#include <stddef.h>
#include <stdint.h>

/* Loads libmpi and joins the other processes. 0, or -1 with a short zero-terminated text in `error`. */
int32_t cm_join(int32_t *rank, int32_t *count, char *error, size_t error_size);
/* Each process's `values` become the sums, or the largest, over all of them: the same bits everywhere. 0, or MPI's error. */
int32_t cm_sum(float *values, int64_t count);
int32_t cm_largest(double *values, int64_t count);
/* Waits for all, then leaves. */
void cm_leave(void);
#endif
