#include "CMPI.h"

#include <dlfcn.h>
#include <stdio.h>

/* The binary interface of Open MPI 4 and 5: handles are pointers to exported objects (mpi.h, OMPI_PREDEFINED_GLOBAL). */
#define IN_PLACE ((void *)1)
enum { thread_serialized = 2, chunk = 1 << 26 };

typedef int init_thread_fn(int *, char ***, int, int *);
typedef int comm_fn(void *, int *);
typedef int allreduce_fn(const void *, void *, int, void *, void *, void *);
typedef int finalize_fn(void);

static struct {
  void *world, *float_type, *double_type, *sum, *max;
  allreduce_fn *allreduce;
  finalize_fn *finalize;
} mpi;

int32_t cm_join(int32_t *rank, int32_t *count, char *error, size_t error_size) {
  static const char *const names[] = {"libmpi.so.40", "libmpi.so"};
  void *library = NULL;
  /* Global, because Open MPI's own components look their symbols up there. */
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    snprintf(error, error_size, "%s", dlerror());
    return -1;
  }
  init_thread_fn *init = (init_thread_fn *)dlsym(library, "MPI_Init_thread");
  comm_fn *comm_rank = (comm_fn *)dlsym(library, "MPI_Comm_rank");
  comm_fn *comm_size = (comm_fn *)dlsym(library, "MPI_Comm_size");
  mpi.allreduce = (allreduce_fn *)dlsym(library, "MPI_Allreduce");
  mpi.finalize = (finalize_fn *)dlsym(library, "MPI_Finalize");
  mpi.world = dlsym(library, "ompi_mpi_comm_world");
  mpi.float_type = dlsym(library, "ompi_mpi_float");
  mpi.double_type = dlsym(library, "ompi_mpi_double");
  mpi.sum = dlsym(library, "ompi_mpi_op_sum");
  mpi.max = dlsym(library, "ompi_mpi_op_max");
  if (!init || !comm_rank || !comm_size || !mpi.allreduce || !mpi.finalize || !mpi.world || !mpi.float_type ||
      !mpi.double_type || !mpi.sum || !mpi.max) {
    snprintf(error, error_size, "libmpi is no Open MPI of version 4 or 5");
    return -1;
  }
  int provided = 0, r = 0, n = 0;
  if (init(NULL, NULL, thread_serialized, &provided) != 0 || comm_rank(mpi.world, &r) != 0 ||
      comm_size(mpi.world, &n) != 0) {
    snprintf(error, error_size, "MPI_Init_thread failed");
    return -1;
  }
  if (provided < thread_serialized) {
    snprintf(error, error_size, "this Open MPI may be called from the main thread only");
    return -1;
  }
  *rank = r;
  *count = n;
  return 0;
}

int32_t cm_sum(float *values, int64_t count) {
  for (int64_t i = 0; i < count; i += chunk) {
    int n = (int)(count - i < chunk ? count - i : chunk);
    int status = mpi.allreduce(IN_PLACE, values + i, n, mpi.float_type, mpi.sum, mpi.world);
    if (status) return status;
  }
  return 0;
}

int32_t cm_largest(double *values, int64_t count) {
  return mpi.allreduce(IN_PLACE, values, (int)count, mpi.double_type, mpi.max, mpi.world);
}

void cm_leave(void) { mpi.finalize(); }
