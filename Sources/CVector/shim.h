// What Swift has no word for, or takes lane by lane: its SIMD types' fused product, comparison and conversion are loops over
// the lanes, which the optimiser puts together again for the most part, but not always.
#pragma once

typedef float cvector_float8 __attribute__((ext_vector_type(8)));
typedef float cvector_float16 __attribute__((ext_vector_type(16)));
typedef int cvector_int8 __attribute__((ext_vector_type(8)));
typedef int cvector_int16 __attribute__((ext_vector_type(16)));
typedef double cvector_double4 __attribute__((ext_vector_type(4)));
typedef double cvector_double8 __attribute__((ext_vector_type(8)));

#define CVECTOR_INLINE static inline __attribute__((always_inline))

/// Asks for the cache line of an address, which need not be mapped; returns at once.
CVECTOR_INLINE void cvector_prefetch(const void *_Nonnull address) { __builtin_prefetch(address); }

/// As above, into the second-level cache and not the first.
CVECTOR_INLINE void cvector_prefetch_second(const void *_Nonnull address) { __builtin_prefetch(address, 0, 2); }

/// The same for a line that will be written, which takes it from the other cores' caches.
CVECTOR_INLINE void cvector_prefetch_write(const void *_Nonnull address) {
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
}

/// a * b + c, rounded once.
CVECTOR_INLINE cvector_float8 cvector_fma8(cvector_float8 a, cvector_float8 b, cvector_float8 c) {
  return __builtin_elementwise_fma(a, b, c);
}

CVECTOR_INLINE cvector_float16 cvector_fma16(cvector_float16 a, cvector_float16 b, cvector_float16 c) {
  return __builtin_elementwise_fma(a, b, c);
}

CVECTOR_INLINE cvector_double4 cvector_fma4(cvector_double4 a, cvector_double4 b, cvector_double4 c) {
  return __builtin_elementwise_fma(a, b, c);
}

CVECTOR_INLINE cvector_double8 cvector_fma8_double(cvector_double8 a, cvector_double8 b, cvector_double8 c) {
  return __builtin_elementwise_fma(a, b, c);
}

/// The value, but +0 in the lanes where `sign` is zero or below.
CVECTOR_INLINE cvector_float8 cvector_positive8(cvector_float8 value, cvector_float8 sign) {
  return (cvector_float8)((cvector_int8)value & ~(cvector_int8)(sign <= 0.0f));
}

CVECTOR_INLINE cvector_float16 cvector_positive16(cvector_float16 value, cvector_float16 sign) {
  return (cvector_float16)((cvector_int16)value & ~(cvector_int16)(sign <= 0.0f));
}

/// The value, but +0 in the lanes below zero.
CVECTOR_INLINE cvector_float8 cvector_rectified8(cvector_float8 value) { return value < 0.0f ? (cvector_float8)0.0f : value; }

CVECTOR_INLINE cvector_float16 cvector_rectified16(cvector_float16 value) {
  return value < 0.0f ? (cvector_float16)0.0f : value;
}

/// All bits in the lanes where a > b.
CVECTOR_INLINE cvector_int8 cvector_larger8(cvector_float8 a, cvector_float8 b) { return (cvector_int8)(a > b); }

CVECTOR_INLINE cvector_int16 cvector_larger16(cvector_float16 a, cvector_float16 b) { return (cvector_int16)(a > b); }

/// a in the lanes whose bits are set, b elsewhere.
CVECTOR_INLINE cvector_float8 cvector_select8(cvector_int8 mask, cvector_float8 a, cvector_float8 b) {
  return (cvector_float8)((mask & (cvector_int8)a) | (~mask & (cvector_int8)b));
}

CVECTOR_INLINE cvector_float16 cvector_select16(cvector_int16 mask, cvector_float16 a, cvector_float16 b) {
  return mask < 0 ? a : b;
}

/// The same number in every lane whose bits are set, b elsewhere.
CVECTOR_INLINE cvector_int8 cvector_select8_number(cvector_int8 mask, int a, cvector_int8 b) {
  return (mask & (cvector_int8)a) | (~mask & b);
}

CVECTOR_INLINE cvector_int16 cvector_select16_number(cvector_int16 mask, int a, cvector_int16 b) {
  return mask < 0 ? (cvector_int16)a : b;
}

/// The low byte of each lane.
CVECTOR_INLINE void cvector_store_bytes8(cvector_int8 value, unsigned char *_Nonnull target) {
  typedef unsigned char bytes __attribute__((ext_vector_type(8), aligned(1)));
  *(bytes *)target = __builtin_convertvector(value, bytes);
}

CVECTOR_INLINE void cvector_store_bytes16(cvector_int16 value, unsigned char *_Nonnull target) {
  typedef unsigned char bytes __attribute__((ext_vector_type(16), aligned(1)));
  *(bytes *)target = __builtin_convertvector(value, bytes);
}

/// The first four lanes, and the last four, in double precision.
CVECTOR_INLINE cvector_double4 cvector_widen_low(cvector_float8 value) {
  return __builtin_convertvector(value.lo, cvector_double4);
}

CVECTOR_INLINE cvector_double4 cvector_widen_high(cvector_float8 value) {
  return __builtin_convertvector(value.hi, cvector_double4);
}

/// The first eight lanes, and the last eight, in double precision.
CVECTOR_INLINE cvector_double8 cvector_widen_low8(cvector_float16 value) {
  return __builtin_convertvector(value.lo, cvector_double8);
}

CVECTOR_INLINE cvector_double8 cvector_widen_high8(cvector_float16 value) {
  return __builtin_convertvector(value.hi, cvector_double8);
}

/// A number that the compiler does not know, and makes no assumption of: what is computed from it is computed after.
CVECTOR_INLINE int cvector_opaque_number(int number) {
  __asm__ volatile("" : "+r"(number));
  return number;
}

/// The same address, of which the optimiser forgets where it comes from: it then adds what is added to it, in place of keeping a
/// register for every sum.
CVECTOR_INLINE const float *_Nonnull cvector_opaque(const float *_Nonnull address) {
  __asm__("" : "+r"(address));
  return address;
}
