// Swift has no word for the processor's prefetch instruction.
#pragma once

/// Asks for the cache line of an address, which need not be mapped; returns at once.
static inline __attribute__((always_inline)) void cprefetch_line(const void *_Nonnull address) {
  __builtin_prefetch(address);
}
