// Vectors of one instruction set, from the compiler's own vector types: nothing here names an instruction.
// A unit of one instruction set includes this after FASTGAN_ISA and FASTGAN_VECTOR_BYTES are defined.
#pragma once

#include "kernel.h"

namespace fastgan {
namespace FASTGAN_ISA {

struct bf16 {
  uint16_t bits;
};
using f16 = _Float16;

// The accumulation type: what a value is computed in, whatever it is stored in.
template <class T>
struct AccOf {
  using type = float;
};
template <>
struct AccOf<double> {
  using type = double;
};
template <class T>
using Acc = typename AccOf<T>::type;

template <class A>
using Vec __attribute__((vector_size(FASTGAN_VECTOR_BYTES))) = A;
template <class A>
constexpr int kLanes = FASTGAN_VECTOR_BYTES / sizeof(A);

// Integers as wide as A, which name lanes.
template <class A>
struct LaneOf {
  using Vector __attribute__((vector_size(FASTGAN_VECTOR_BYTES))) = int32_t;
};
template <>
struct LaneOf<double> {
  using Vector __attribute__((vector_size(FASTGAN_VECTOR_BYTES))) = int64_t;
};
using U32 __attribute__((vector_size(FASTGAN_VECTOR_BYTES))) = uint32_t;
using U16 __attribute__((vector_size(FASTGAN_VECTOR_BYTES / 2))) = uint16_t;

#define FASTGAN_INLINE inline __attribute__((always_inline))

// --- one vector ---------------------------------------------------------------------------------------------------

template <class A>
FASTGAN_INLINE Vec<A> load(const A* p) {
  Vec<A> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FASTGAN_INLINE Vec<float> load(const bf16* p) {
  U16 bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return (Vec<float>)(__builtin_convertvector(bits, U32) << 16);
}
FASTGAN_INLINE Vec<float> load(const f16* p) {
  Vec<float> v;
  for (int i = 0; i < kLanes<float>; ++i) v[i] = static_cast<float>(p[i]);
  return v;
}

// One value.
template <class A>
FASTGAN_INLINE A load_one(const A* p) {
  return *p;
}
FASTGAN_INLINE float load_one(const f16* p) { return static_cast<float>(*p); }
FASTGAN_INLINE float load_one(const bf16* p) {
  const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

FASTGAN_INLINE void store(float* p, Vec<float> v) { __builtin_memcpy(p, &v, sizeof v); }
FASTGAN_INLINE void store(double* p, Vec<double> v) { __builtin_memcpy(p, &v, sizeof v); }
// Round to nearest, ties to even; NaN stays NaN.
FASTGAN_INLINE void store(bf16* p, Vec<float> v) {
  const U32 u = (U32)v;
  const U32 rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const U32 is_nan = (U32)(v != v);
  const U16 bits = __builtin_convertvector((rounded & ~is_nan) | (0x7fc0u & is_nan), U16);
  __builtin_memcpy(p, &bits, sizeof bits);
}
FASTGAN_INLINE void store(f16* p, Vec<float> v) {
  for (int i = 0; i < kLanes<float>; ++i) p[i] = static_cast<f16>(v[i]);
}

template <class A>
FASTGAN_INLINE void store_one(A* p, A value) {
  *p = value;
}
FASTGAN_INLINE void store_one(f16* p, float value) { *p = static_cast<f16>(value); }
FASTGAN_INLINE void store_one(bf16* p, float value) {
  uint32_t u;
  __builtin_memcpy(&u, &value, sizeof u);
  p->bits = value != value ? 0x7fc0 : static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

template <class A>
FASTGAN_INLINE Vec<A> broadcast(A a) {
  return a - Vec<A>{};
}

// Lane i of the result is lane pick(i) of a and b laid end to end.
template <class A, class F>
FASTGAN_INLINE Vec<A> shuffle(Vec<A> a, Vec<A> b, F pick) {
#ifdef __clang__  // its shuffle takes literal lanes only
  Vec<A> v;
  for (int i = 0; i < kLanes<A>; ++i) v[i] = pick(i) < kLanes<A> ? a[pick(i)] : b[pick(i) - kLanes<A>];
  return v;
#else
  typename LaneOf<A>::Vector lanes;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<A>; ++i) lanes[i] = pick(i);
  return __builtin_shuffle(a, b, lanes);
#endif
}

// --- a tile: U vectors, with as many of their U * lanes values in use as `count` says ---------------------------------

// `count` when the whole tile is in use: a type, so that the common path has no tests.
struct Whole {};

template <class A, int U>
struct Tile {
  Vec<A> v[U];
  static constexpr int kCount = U * kLanes<A>;
};

#define FASTGAN_EACH(u, U) _Pragma("GCC unroll 8") for (int u = 0; u < U; ++u)

template <class A, int U, class T>
FASTGAN_INLINE Tile<A, U> load_tile(const T* p, Whole) {
  Tile<A, U> t;
  FASTGAN_EACH(u, U) t.v[u] = load(p + u * kLanes<A>);
  return t;
}
// The values past `count` read as zero.
template <class A, int U, class T>
FASTGAN_INLINE Tile<A, U> load_tile(const T* p, int count) {
  T padded[Tile<A, U>::kCount] = {};
  __builtin_memcpy(padded, p, count * sizeof(T));
  return load_tile<A, U>(padded, Whole{});
}

template <class A, int U, class T>
FASTGAN_INLINE void store_tile(T* p, const Tile<A, U>& t, Whole) {
  FASTGAN_EACH(u, U) store(p + u * kLanes<A>, t.v[u]);
}
template <class A, int U, class T>
FASTGAN_INLINE void store_tile(T* p, const Tile<A, U>& t, int count) {
  T padded[Tile<A, U>::kCount];
  store_tile(padded, t, Whole{});
  __builtin_memcpy(p, padded, count * sizeof(T));
}

template <class A, int U>
FASTGAN_INLINE Tile<A, U> fill(A a) {
  Tile<A, U> t;
  FASTGAN_EACH(u, U) t.v[u] = broadcast(a);
  return t;
}

#define FASTGAN_TILE_OPERATOR(op)                                                            \
  template <class A, int U>                                                                  \
  FASTGAN_INLINE Tile<A, U> operator op(const Tile<A, U>& a, const Tile<A, U>& b) {          \
    Tile<A, U> t;                                                                            \
    FASTGAN_EACH(u, U) t.v[u] = a.v[u] op b.v[u];                                            \
    return t;                                                                                \
  }                                                                                          \
  template <class A, int U>                                                                  \
  FASTGAN_INLINE Tile<A, U> operator op(A a, const Tile<A, U>& b) {                          \
    return fill<A, U>(a) op b;                                                               \
  }
FASTGAN_TILE_OPERATOR(+)
FASTGAN_TILE_OPERATOR(-)
FASTGAN_TILE_OPERATOR(*)

// where(p > 0, a, b), value by value; false where p is NaN.
template <class A, int U>
FASTGAN_INLINE Tile<A, U> if_positive(const Tile<A, U>& p, const Tile<A, U>& a, const Tile<A, U>& b) {
  Tile<A, U> t;
  FASTGAN_EACH(u, U) t.v[u] = p.v[u] > 0 ? a.v[u] : b.v[u];
  return t;
}
template <class A, int U>
FASTGAN_INLINE Tile<A, U> leaky_relu(const Tile<A, U>& p, A slope) {
  return if_positive(p, p, slope * p);
}

// Zero the values past `count`, which sums over a tile must not see.
template <class A, int U>
FASTGAN_INLINE Tile<A, U> keep(const Tile<A, U>& t, Whole) {
  return t;
}
template <class A, int U>
FASTGAN_INLINE Tile<A, U> keep(const Tile<A, U>& t, int count) {
  A values[Tile<A, U>::kCount];
  store_tile(values, t, Whole{});
  return load_tile<A, U>(values, count);
}

template <class A, int U>
FASTGAN_INLINE double sum(const Tile<A, U>& t) {
  Vec<A> v = t.v[0];
  for (int u = 1; u < U; ++u) v += t.v[u];
  double s = 0;
  for (int i = 0; i < kLanes<A>; ++i) s += v[i];
  return s;
}

// --- dtypes -------------------------------------------------------------------------------------------------------

// Calls f with a null pointer of the storage type.
template <class F>
inline void for_dtype(DType dtype, F f) {
  switch (dtype) {
    case DType::f32: return f(static_cast<float*>(nullptr));
    case DType::f64: return f(static_cast<double*>(nullptr));
    case DType::bf16: return f(static_cast<bf16*>(nullptr));
    case DType::f16: return f(static_cast<f16*>(nullptr));
  }
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
