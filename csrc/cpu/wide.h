// Two vectors of values at a time, which are computed lane by lane: in whatever order costs least to load and store.
// For bf16 that is even and odd values apart, since two of them are the halves of one 32-bit lane.
#pragma once

#include <utility>

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {

#define FASTGAN_INLINED __attribute__((always_inline))  // after the arguments of a lambda

template <class A>
using Wide = Tile<A, 2>;

template <class T>
constexpr bool kLoadsApart = __is_same(T, bf16) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

template <class T>
FASTGAN_INLINE Wide<Acc<T>> load_wide(const T* p, Whole) {
  if constexpr (kLoadsApart<T>) {
    const Pairs<float> v = load_pairs<float>(p);
    return {{v.even, v.odd}};
  } else {
    return load_tile<Acc<T>, 2>(p, Whole{});
  }
}
template <class T>
FASTGAN_INLINE void store_wide(T* p, const Wide<Acc<T>>& w, Whole) {
  if constexpr (kLoadsApart<T>) store_pairs<float>(p, Pairs<float>{w.v[0], w.v[1]});
  else store_tile(p, w, Whole{});
}

// Its halves from two places, one vector's worth of values from each.
template <size_t... kLane>
FASTGAN_INLINE auto join(const U16& low, const U16& high, std::index_sequence<kLane...>) {
  return __builtin_shufflevector(low, high, kLane...);
}
template <class T>
FASTGAN_INLINE Wide<Acc<T>> load_halves(const T* low, const T* high) {
  if constexpr (kLoadsApart<T>) {
    U16 halves[2];
    __builtin_memcpy(&halves[0], low, sizeof halves[0]);
    __builtin_memcpy(&halves[1], high, sizeof halves[1]);
    const auto bits = join(halves[0], halves[1], std::make_index_sequence<2 * kLanes<float>>{});
    return {{(Vec<float>)((U32)bits << 16), (Vec<float>)((U32)bits & 0xffff0000u)}};
  } else {
    return {{load(low), load(high)}};
  }
}

// The even and the odd values of `w`, which load_wide<T> loaded.
template <class T, class A = Acc<T>>
FASTGAN_INLINE Pairs<A> apart(const Wide<A>& w) {
  if constexpr (kLoadsApart<T>) return {w.v[0], w.v[1]};
  else return {shuffle<A>(w.v[0], w.v[1], [](int i) { return 2 * i; }),
               shuffle<A>(w.v[0], w.v[1], [](int i) { return 2 * i + 1; })};
}

// Room for as many stored values: where there are masks the compiler keeps it in registers.
template <class T>
struct Room {
  static constexpr int kCount = Wide<Acc<T>>::kCount;
  alignas(64) T values[kCount];
};
template <class T>
FASTGAN_INLINE Room<T> read_part(const T* p, int count) {
  Room<T> room;
#if FASTGAN_ISA_LEVEL >= 2
  FASTGAN_EACH(chunk, static_cast<int>(sizeof room) / 64) {
    const int bytes = count * static_cast<int>(sizeof(T)) - 64 * chunk;
    const __mmask64 mask = bytes <= 0 ? 0 : _bzhi_u64(~0ull, bytes);
    const __m512i bits = _mm512_maskz_loadu_epi8(mask, reinterpret_cast<const char*>(p) + 64 * chunk);
    __builtin_memcpy(reinterpret_cast<char*>(room.values) + 64 * chunk, &bits, 64);
  }
#else
  __builtin_memset(room.values, 0, sizeof room);
  __builtin_memcpy(room.values, p, count * sizeof(T));
#endif
  return room;
}
template <class T>
FASTGAN_INLINE void write_part(T* p, const Room<T>& room, int count) {
#if FASTGAN_ISA_LEVEL >= 2
  FASTGAN_EACH(chunk, static_cast<int>(sizeof room) / 64) {
    const int bytes = count * static_cast<int>(sizeof(T)) - 64 * chunk;
    const __mmask64 mask = bytes <= 0 ? 0 : _bzhi_u64(~0ull, bytes);
    __m512i bits;
    __builtin_memcpy(&bits, reinterpret_cast<const char*>(room.values) + 64 * chunk, 64);
    _mm512_mask_storeu_epi8(reinterpret_cast<char*>(p) + 64 * chunk, mask, bits);
  }
#else
  __builtin_memcpy(p, room.values, count * sizeof(T));
#endif
}

// The first `count` values; those past them read as zero and are not written.
template <class T>
FASTGAN_INLINE Wide<Acc<T>> load_wide(const T* p, int count) {
  return load_wide(read_part(p, count).values, Whole{});
}
template <class T>
FASTGAN_INLINE void store_wide(T* p, const Wide<Acc<T>>& w, int count) {
  Room<T> room;
  store_wide(room.values, w, Whole{});
  write_part(p, room, count);
}
template <class T, class A = Acc<T>>
FASTGAN_INLINE void store_pairs(T* p, const Pairs<A>& v, Whole) {
  store_pairs<A>(p, v);
}
template <class T, class A = Acc<T>>
FASTGAN_INLINE void store_pairs(T* p, const Pairs<A>& v, int count) {
  Room<T> room;
  store_pairs<A>(room.values, v);
  write_part(p, room, count);
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
