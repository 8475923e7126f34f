// Open MPI spells its constants as macros over casts that Swift cannot import; each is given back by a function here.
#pragma once
#include <mpi/mpi.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_self(void) { return MPI_COMM_SELF; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Request cmpi_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Status *cmpi_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline void *cmpi_in_place(void) { return MPI_IN_PLACE; }
static inline int cmpi_thread_serialized(void) { return MPI_THREAD_SERIALIZED; }
static inline int cmpi_comm_type_shared(void) { return MPI_COMM_TYPE_SHARED; }
static inline int cmpi_success(void) { return MPI_SUCCESS; }

static inline MPI_Datatype cmpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype cmpi_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype cmpi_int32(void) { return MPI_INT32_T; }
static inline MPI_Datatype cmpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Datatype cmpi_uint64(void) { return MPI_UINT64_T; }
static inline MPI_Datatype cmpi_uint8(void) { return MPI_UINT8_T; }

static inline MPI_Op cmpi_sum(void) { return MPI_SUM; }
static inline MPI_Op cmpi_min(void) { return MPI_MIN; }
static inline MPI_Op cmpi_max(void) { return MPI_MAX; }

// Numbers in memory that several processes share.
static inline uint64_t cmpi_load_acquire(const void *p) { return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE); }
static inline void cmpi_store_release(void *p, uint64_t value) { __atomic_store_n((uint64_t *)p, value, __ATOMIC_RELEASE); }
// The number becomes `next` if it is `seen`.
static inline int cmpi_exchange_if(void *p, uint64_t seen, uint64_t next) {
  return __atomic_compare_exchange_n((uint64_t *)p, &seen, next, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline void cmpi_pause(void) { __builtin_ia32_pause(); }

// A file of zeros in memory without a name; below zero where there is none to be had.
static inline int cmpi_memory_file(long bytes) {
  int file = (int)syscall(SYS_memfd_create, "byol-dist", 1u /* MFD_CLOEXEC */);
  if (file >= 0 && ftruncate(file, bytes) != 0) {
    close(file);
    return -1;
  }
  return file;
}

// Lets MPI work on what is under way.
static inline void cmpi_progress(MPI_Comm communicator) {
  int found;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator, &found, MPI_STATUS_IGNORE);
}
