// Vectors of one instruction set, from the compiler's own vector types. Instructions are named (under `#if`) only
// where the compiler does not find them: 16-bit conversions, and parts of a vector under a mask.
// A unit of one instruction set includes this after it has defined FASTGAN_ISA, FASTGAN_ISA_LEVEL (its place in the enum
// Isa; GCC 12 does not define macros such as __AVX2__ after a target pragma) and FASTGAN_VECTOR_BYTES.
#pragma once

#include <utility>

#include "kernel.h"

#ifdef FASTGAN_X86
#include <immintrin.h>
#endif

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

FASTGAN_INLINE Vec<float> widen(U16 bf16_bits) {
#if FASTGAN_ISA_LEVEL >= 2
  return (Vec<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)bf16_bits), 16);
#else
  return (Vec<float>)(__builtin_convertvector(bf16_bits, U32) << 16);
#endif
}

// The bits of bf16 in the upper halves, rounded to nearest, ties to even (the lower halves are noise); NaN stays NaN.
FASTGAN_INLINE U32 round_to_bf16(Vec<float> v) {
  const U32 u = (U32)v, is_nan = (U32)(v != v);
  return ((u + 0x7fffu + ((u >> 16) & 1u)) & ~is_nan) | (0x7fc00000u & is_nan);
}
FASTGAN_INLINE U16 narrow(Vec<float> v) {
#if FASTGAN_ISA_LEVEL >= 3
  return (U16)_mm512_cvtneps_pbh((__m512)v);  // takes and gives zero for subnormal values, as oneDNN's kernels do
#else
  return __builtin_convertvector(round_to_bf16(v) >> 16, U16);
#endif
}

FASTGAN_INLINE Vec<float> load(const float* p) {
  Vec<float> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FASTGAN_INLINE Vec<double> load(const double* p) {
  Vec<double> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FASTGAN_INLINE Vec<float> load(const bf16* p) {
  U16 bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return widen(bits);
}
FASTGAN_INLINE Vec<float> load(const f16* p) {
#if FASTGAN_ISA_LEVEL >= 2
  return (Vec<float>)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif FASTGAN_ISA_LEVEL >= 1
  return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  Vec<float> v;
  for (int i = 0; i < kLanes<float>; ++i) v[i] = static_cast<float>(p[i]);
  return v;
#endif
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
FASTGAN_INLINE void store(bf16* p, Vec<float> v) {
  const U16 bits = narrow(v);
  __builtin_memcpy(p, &bits, sizeof bits);
}
FASTGAN_INLINE void store(f16* p, Vec<float> v) {
#if FASTGAN_ISA_LEVEL >= 2
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif FASTGAN_ISA_LEVEL >= 1
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int i = 0; i < kLanes<float>; ++i) p[i] = static_cast<f16>(v[i]);
#endif
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

// {f(0), f(1), ...}: written as one list, which the compiler folds into a constant.
template <class A, class F, int... I>
FASTGAN_INLINE typename LaneOf<A>::Vector lanes(F f, std::integer_sequence<int, I...>) {
  return typename LaneOf<A>::Vector{f(I)...};
}
template <class A, class F>
FASTGAN_INLINE typename LaneOf<A>::Vector lanes(F f) {
  return lanes<A>(f, std::make_integer_sequence<int, kLanes<A>>{});
}

// Lane i of the result is lane pick(i) of a and b laid end to end.
template <class A, class F>
FASTGAN_INLINE Vec<A> shuffle(Vec<A> a, Vec<A> b, F pick) {
#ifdef __clang__  // its shuffle takes literal lanes only
  Vec<A> v;
  for (int i = 0; i < kLanes<A>; ++i) v[i] = pick(i) < kLanes<A> ? a[pick(i)] : b[pick(i) - kLanes<A>];
  return v;
#else
  return __builtin_shuffle(a, b, lanes<A>(pick));
#endif
}

// Neighbours apart: p[0], p[2], ... and p[1], p[3], ...: 2 * lanes values.
template <class A>
struct Pairs {
  Vec<A> even, odd;
};
template <class A, class T>
FASTGAN_INLINE Pairs<A> load_pairs(const T* p) {
  const Vec<A> low = load(p), high = load(p + kLanes<A>);
  return {shuffle<A>(low, high, [](int i) { return 2 * i; }), shuffle<A>(low, high, [](int i) { return 2 * i + 1; })};
}
template <class A, class T>
FASTGAN_INLINE void store_pairs(T* p, Pairs<A> v) {
  constexpr int L = kLanes<A>;
  store(p, shuffle<A>(v.even, v.odd, [](int i) { return i % 2 * L + i / 2; }));
  store(p + L, shuffle<A>(v.even, v.odd, [](int i) { return i % 2 * L + L / 2 + i / 2; }));
}
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__  // two bf16 are the halves of one 32-bit lane: no shuffle
template <>
FASTGAN_INLINE Pairs<float> load_pairs<float, bf16>(const bf16* p) {
  U32 bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return {(Vec<float>)(bits << 16), (Vec<float>)(bits & 0xffff0000u)};
}
template <>
FASTGAN_INLINE void store_pairs<float, bf16>(bf16* p, Pairs<float> v) {
#if FASTGAN_ISA_LEVEL >= 3
  using Halves __attribute__((vector_size(64))) = uint16_t;
  constexpr Halves kInterleave = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                  8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i bits =
      _mm512_permutexvar_epi16((__m512i)kInterleave, (__m512i)_mm512_cvtne2ps_pbh((__m512)v.odd, (__m512)v.even));
#else
  const U32 bits = (round_to_bf16(v.even) >> 16) | (round_to_bf16(v.odd) & 0xffff0000u);
#endif
  __builtin_memcpy(p, &bits, sizeof bits);
}
#endif

template <class A, int kHalf = kLanes<A> / 2>
FASTGAN_INLINE A sum_lanes(Vec<A> v) {
  if constexpr (kHalf == 0) return v[0];
  else return sum_lanes<A, kHalf / 2>(v + shuffle<A>(v, v, [](int i) { return i ^ kHalf; }));
}

// The first `count` values, 0 <= count <= lanes; those past them read as zero and are not written.
template <class A, class T>
FASTGAN_INLINE Vec<A> load_part(const T* p, int count) {
#if FASTGAN_ISA_LEVEL >= 2
  const uint32_t mask = (1u << count) - 1;
  if constexpr (sizeof(T) == 8) return (Vec<A>)_mm512_maskz_loadu_pd(mask, p);
  if constexpr (sizeof(T) == 4) return (Vec<A>)_mm512_maskz_loadu_ps(mask, p);
  if constexpr (sizeof(T) == 2) {
    const __m256i bits = _mm256_maskz_loadu_epi16(mask, p);
    if constexpr (__is_same(T, bf16)) return widen((U16)bits);
    else return (Vec<float>)_mm512_cvtph_ps(bits);
  }
#else
  T padded[kLanes<A>] = {};
  __builtin_memcpy(padded, p, count * sizeof(T));
  return load(padded);
#endif
}
template <class A, class T>
FASTGAN_INLINE void store_part(T* p, Vec<A> v, int count) {
#if FASTGAN_ISA_LEVEL >= 2
  const uint32_t mask = (1u << count) - 1;
  if constexpr (sizeof(T) == 8) _mm512_mask_storeu_pd(p, mask, (__m512d)v);
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, mask, (__m512)v);
  if constexpr (__is_same(T, bf16)) _mm256_mask_storeu_epi16(p, mask, (__m256i)narrow(v));
  if constexpr (__is_same(T, f16))
    _mm256_mask_storeu_epi16(p, mask, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#else
  T padded[kLanes<A>];
  store(padded, v);
  __builtin_memcpy(p, padded, count * sizeof(T));
#endif
}
// Zero the values past `count`.
template <class A>
FASTGAN_INLINE Vec<A> keep_part(Vec<A> v, int count) {
  using Lane = typename LaneOf<A>::Vector;
  return (Vec<A>)((Lane)v & (lanes<A>([](int i) { return i; }) < count));
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
// How many values of vector u are among the first `count` of a tile.
template <class A>
FASTGAN_INLINE int part(int u, int count) {
  const int left = count - u * kLanes<A>;
  return left < 0 ? 0 : left < kLanes<A> ? left : kLanes<A>;
}
// The values past `count` read as zero.
template <class A, int U, class T>
FASTGAN_INLINE Tile<A, U> load_tile(const T* p, int count) {
  Tile<A, U> t;
  FASTGAN_EACH(u, U) t.v[u] = load_part<A>(p + u * kLanes<A>, part<A>(u, count));
  return t;
}

template <class A, int U, class T>
FASTGAN_INLINE void store_tile(T* p, const Tile<A, U>& t, Whole) {
  FASTGAN_EACH(u, U) store(p + u * kLanes<A>, t.v[u]);
}
template <class A, int U, class T>
FASTGAN_INLINE void store_tile(T* p, const Tile<A, U>& t, int count) {
  FASTGAN_EACH(u, U) store_part<A>(p + u * kLanes<A>, t.v[u], part<A>(u, count));
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
  }                                                                                          \
  template <class A, int U>                                                                  \
  FASTGAN_INLINE Tile<A, U> operator op(const Tile<A, U>& a, A b) {                          \
    return a op fill<A, U>(b);                                                               \
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
// where(p > 0, a, slope * a)
template <class A, int U>
FASTGAN_INLINE Tile<A, U> scale_unless_positive(const Tile<A, U>& p, const Tile<A, U>& a, A slope) {
#if FASTGAN_ISA_LEVEL >= 2  // a product under a mask takes the place of a product and a choice
  if constexpr (sizeof(A) == 4) {
    Tile<A, U> t;
    FASTGAN_EACH(u, U) {
      const __mmask16 scaled = _mm512_cmp_ps_mask((__m512)p.v[u], _mm512_setzero_ps(), _CMP_NGT_UQ);
      t.v[u] = (Vec<A>)_mm512_mask_mul_ps((__m512)a.v[u], scaled, (__m512)a.v[u], _mm512_set1_ps(slope));
    }
    return t;
  }
#endif
  return if_positive(p, a, slope * a);
}
template <class A, int U>
FASTGAN_INLINE Tile<A, U> leaky_relu(const Tile<A, U>& p, A slope) {
  return scale_unless_positive(p, p, slope);
}

// Zero the values past `count`, which sums over a tile must not see.
template <class A, int U>
FASTGAN_INLINE Tile<A, U> keep(const Tile<A, U>& t, Whole) {
  return t;
}
template <class A, int U>
FASTGAN_INLINE Tile<A, U> keep(const Tile<A, U>& t, int count) {
  Tile<A, U> kept;
  FASTGAN_EACH(u, U) kept.v[u] = keep_part<A>(t.v[u], part<A>(u, count));
  return kept;
}

template <class A, int U>
FASTGAN_INLINE A sum(const Tile<A, U>& t) {
  Vec<A> v = t.v[0];
  for (int u = 1; u < U; ++u) v += t.v[u];
  return sum_lanes<A>(v);
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
