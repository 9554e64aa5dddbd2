// Blends of two stored values: weights.first * first + weights.second * second.
#pragma once

#include "wide.h"

namespace fastgan {
namespace FASTGAN_ISA {

// As many values as a Wide has from each of two places.
template <class T>
struct Couple {
  using A = Acc<T>;
  struct Weights {
    A first, second;
  };
  Wide<A> first, second;

  template <class Count>
  static FASTGAN_INLINE Couple load(const T* p, const T* q, Count count) {
    return {load_wide(p, count), load_wide(q, count)};
  }
  template <class Count>
  static FASTGAN_INLINE void store(T* p, const Wide<A>& values, Count count) {
    store_wide(p, values, count);
  }
  static Weights weights(double first, double second) { return {A(first), A(second)}; }

  FASTGAN_INLINE Wide<A> blend(const Weights& w) const { return w.first * first + w.second * second; }
  FASTGAN_INLINE Wide<A> blend(const Weights& w, const Wide<A>& more) const {
    return w.first * first + (w.second * second + more);
  }
};

#if FASTGAN_ISA_LEVEL >= 3
// The same of bf16, for weights which bf16 holds: one instruction multiplies and adds both, and nothing is widened.
struct Dots {
  using T = bf16;
  using A = float;
  using Weights = __m512bh;
  using Bits __attribute__((vector_size(64))) = uint16_t;
  Bits low, high;  // first and second value by turns

  static FASTGAN_INLINE Dots load(const bf16* p, const bf16* q, Whole) {
    Bits first, second;
    __builtin_memcpy(&first, p, sizeof first);
    __builtin_memcpy(&second, q, sizeof second);
    return {by_turns<0>(first, second, std::make_index_sequence<32>{}),
            by_turns<16>(first, second, std::make_index_sequence<32>{})};
  }
  static FASTGAN_INLINE Dots load(const bf16* p, const bf16* q, int count) {
    return load(read_part(p, count).values, read_part(q, count).values, Whole{});
  }
  static FASTGAN_INLINE void store(bf16* p, const Wide<float>& w, Whole) {
    const __m512bh bits = _mm512_cvtne2ps_pbh((__m512)w.v[1], (__m512)w.v[0]);
    __builtin_memcpy(p, &bits, sizeof bits);
  }
  static FASTGAN_INLINE void store(bf16* p, const Wide<float>& w, int count) {
    Room<bf16> room;
    store(room.values, w, Whole{});
    write_part(p, room, count);
  }
  static Weights weights(double first, double second) {
    return (__m512bh)_mm512_set1_epi32(static_cast<int>(upper_half(first) >> 16 | upper_half(second)));
  }
  static bool holds(double weight) {
    const float value = static_cast<float>(weight);
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return value == weight && (bits & 0xffff) == 0;
  }

  FASTGAN_INLINE Wide<float> blend(const Weights& w) const { return blend(w, Wide<float>{}); }
  FASTGAN_INLINE Wide<float> blend(const Weights& w, const Wide<float>& more) const {
    return {{(Vec<float>)_mm512_dpbf16_ps((__m512)more.v[0], (__m512bh)low, w),
             (Vec<float>)_mm512_dpbf16_ps((__m512)more.v[1], (__m512bh)high, w)}};
  }

 private:
  template <int kFrom, size_t... kLane>
  static FASTGAN_INLINE Bits by_turns(const Bits& first, const Bits& second, std::index_sequence<kLane...>) {
    return __builtin_shufflevector(first, second, (kLane / 2 + kFrom + kLane % 2 * 32)...);
  }
  static uint32_t upper_half(double weight) {
    const float value = static_cast<float>(weight);
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits & 0xffff0000u;
  }
};
#endif

// Calls f with a null pointer of the fastest kind of couple for `weights`.
template <class T, class F>
FASTGAN_INLINE void for_couple(const double (&weights)[4], F f) {
#if FASTGAN_ISA_LEVEL >= 3
  if constexpr (__is_same(T, bf16)) {
    if (Dots::holds(weights[0]) && Dots::holds(weights[1]) && Dots::holds(weights[2]) && Dots::holds(weights[3]))
      return f(static_cast<Dots*>(nullptr));
  }
#endif
  f(static_cast<Couple<T>*>(nullptr));
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
