// What the passes of instance_norm.cpp share: which values a group covers, and what stands between them and the norm.
#pragma once

#include "instance_norm.h"
#include "moments.h"
#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {

template <bool kFirst, class A, class B>
struct Choice {
  using type = A;
};
template <class A, class B>
struct Choice<false, A, B> {
  using type = B;
};

// A tile's worth of one sample, walked step by step. In `planes` a step is a tile of pixels of one channel, in
// `pixels` some channels of one pixel. What belongs to a channel is a `Per`: one value, or a tile of them. So each
// formula is written once for both layouts.
template <Layout kLayout, bool kEpilogue_, class T_, int kVectors, class Count_>
struct Group {
  static constexpr bool kPlanes = kLayout == Layout::planes, kEpilogue = kEpilogue_;
  static constexpr int U = kVectors;
  using T = T_;
  using A = Acc<T>;
  using Tile_ = Tile<A, U>;
  using Per = typename Choice<kPlanes, A, Tile_>::type;
  using Count = Count_;
  static constexpr int kCount = Tile_::kCount;
  static constexpr bool kInPairs = __is_same(T, bf16) && U % 2 == 0;  // two vectors from one of bf16, at no shuffle

  const InstanceNorm& a;
  int64_t n, c;    // the sample and the first channel
  Count channels;  // how many channels in `pixels`
  int64_t base, stride;
  const T* noise = nullptr;
  Per strength, bias;
  A slope;

  FASTGAN_INLINE Group(const InstanceNorm& args, int64_t n_, int64_t c_, Count channels_)
      : a(args), n(n_), c(c_), channels(channels_), slope(static_cast<A>(args.slope)) {
    base = kPlanes ? nc() * a.shape.hw() : n * a.shape.hw() * a.shape.c + c;
    stride = kPlanes ? kCount : a.shape.c;
    if constexpr (kEpilogue) {
      bias = parameter(a.bias, c);
      strength = parameter(a.strength, c);
      if (a.noise) noise = static_cast<const T*>(a.noise) + n * a.noise_stride;
    }
  }

  int64_t nc() const { return n * a.shape.c + c; }
  int64_t whole_steps() const { return kPlanes ? a.shape.hw() / kCount : a.shape.hw(); }
  int tail() const { return kPlanes ? static_cast<int>(a.shape.hw() % kCount) : 0; }

  // Calls f(step, count) for each of the steps [begin, end), all of them whole.
  template <class F>
  FASTGAN_INLINE void visit(int64_t begin, int64_t end, F f) const {
    for (int64_t step = begin; step < end; ++step) {
      if constexpr (kPlanes) f(step, Whole{});
      else f(step, channels);
    }
  }
  // The step past the whole ones in `planes`, of the pixels that are left.
  template <class F>
  FASTGAN_INLINE void visit_tail(F f) const {
    if constexpr (kPlanes)
      if (tail()) f(whole_steps(), tail());
  }

  FASTGAN_INLINE int64_t offset(int64_t step) const { return base + step * stride; }

  // Zero what a tail holds past its pixels, before it is summed over lanes.
  template <class C>
  FASTGAN_INLINE static Tile_ kept(const Tile_& t, C count) {
    if constexpr (kPlanes) return keep(t, count);
    else return t;
  }
  FASTGAN_INLINE static Per over_pixels(const Tile_& t) {
    if constexpr (kPlanes) return sum(t);
    else return t;
  }

  // Values in the order that costs least, the same for all that meets in a tile.
  template <class V, class C>
  FASTGAN_INLINE static Tile_ load_values(const V* p, C count) {
    if constexpr (kInPairs && __is_same(C, Whole)) {
      Tile_ t;
      FASTGAN_EACH(u, U / 2) {
        const Pairs<A> pairs = load_pairs<A>(p + 2 * u * kLanes<A>);
        t.v[2 * u] = pairs.even, t.v[2 * u + 1] = pairs.odd;
      }
      return t;
    } else {
      return load_tile<A, U>(p, count);
    }
  }
  template <class V, class C>
  FASTGAN_INLINE static void store_values(V* p, const Tile_& t, C count) {
    if constexpr (kInPairs && __is_same(C, Whole)) {
      FASTGAN_EACH(u, U / 2) store_pairs(p + 2 * u * kLanes<A>, Pairs<A>{t.v[2 * u], t.v[2 * u + 1]});
    } else {
      store_tile(p, t, count);
    }
  }

  FASTGAN_INLINE Per parameter(const void* values, int64_t at) const {
    const A* p = static_cast<const A*>(values) + at;
    if constexpr (kPlanes) return *p;
    else return load_values(p, channels);
  }
  FASTGAN_INLINE void put(void* values, const Per& t) const {
    A* p = static_cast<A*>(values) + nc();
    if constexpr (kPlanes) *p = t;
    else store_values(p, t, channels);
  }

  template <class C>
  FASTGAN_INLINE Tile_ load(const void* image, int64_t step, C count) const {
    const T* p = static_cast<const T*>(image) + offset(step);
    if constexpr (!kPlanes) {  // strides are not foreseen by the processor: the next run's pixels
      const char* ahead = reinterpret_cast<const char*>(p + kShortestRun * stride);
      for (unsigned byte = 0; byte < kCount * sizeof(T); byte += 64) __builtin_prefetch(ahead + byte);
    }
    return load_values(p, count);
  }
  template <class C>
  FASTGAN_INLINE void store(void* image, int64_t step, const Tile_& t, C count) const {
    store_values(static_cast<T*>(image) + offset(step), t, count);
  }
  template <class C>
  FASTGAN_INLINE auto noise_at(int64_t step, C count) const {
    if constexpr (kPlanes) return load_values(noise + step * kCount, count);
    else return load_one(noise + step);
  }

  // x + strength * noise + bias
  template <class C>
  FASTGAN_INLINE Tile_ preactivation(int64_t step, C count) const {
    Tile_ p = load(a.x, step, count);
    if constexpr (kEpilogue) {
      p = p + bias;
      if (noise) p = p + strength * noise_at(step, count);
    }
    return p;
  }
  template <class C>
  FASTGAN_INLINE Tile_ activation(int64_t step, C count) const {
    const Tile_ p = preactivation(step, count);
    if constexpr (kEpilogue) return leaky_relu(p, slope);
    else return p;
  }
};

}  // namespace FASTGAN_ISA
}  // namespace fastgan
