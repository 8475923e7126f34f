// hwloc's version checks are macros that Swift cannot import.
#pragma once
#include <hwloc.h>
#include <sys/syscall.h>
#include <unistd.h>

// The whole machine, also what this process may not use, so that all processes of a host number it alike. Zero for success.
static inline int chwloc_load(hwloc_topology_t topology) {
  unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
#if HWLOC_API_VERSION >= 0x00020500
  // Otherwise the discovery visits every core, which takes long when every rank of a large host does it at the same time.
  flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
  if (hwloc_topology_set_flags(topology, flags) != 0) return -1;
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  if (hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL) != 0) return -1;
  return hwloc_topology_load(topology);
}

// Writes one bit for each CPU that this process's main thread may run on: on Linux a process's number is that thread's too.
// The bytes that the system has written, or below zero.
static inline long chwloc_affinity(void *bits, size_t bytes) {
  return syscall(SYS_sched_getaffinity, getpid(), bytes, bits);
}
