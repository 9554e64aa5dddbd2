// The order in which a pass of instance_norm.cpp walks through memory: planes, or pixels in runs.
//
// A pass measures its steps (in parts), finishes what it measured, and writes (in runs). Between parts its states say
// all that it needs to go on.
#pragma once

#include "moments.h"
#include "style_group.h"

namespace fastgan {
namespace FASTGAN_ISA {

// How many vectors wide a group of channels may be is for its parameters and sums to fit the registers.
constexpr int kRegisters = FASTGAN_VECTOR_BYTES == 64 ? 32 : 16;

// Small planes go together: as many as have so many pixels. Past that, fp32 gets slower where bf16 still gains.
template <class T>
constexpr int64_t kBatch = sizeof(T) == 2 ? 4096 : 1024;
constexpr int64_t kMostTogether = 16;

// f(begin, end) for each run of the steps [0, steps): at least once, for the tail's sake.
template <class F>
FASTGAN_INLINE void for_runs(int64_t steps, F f) {
  const int64_t run = run_of(steps);
  int64_t begin = 0;
  do {
    const int64_t end = begin + run < steps ? begin + run : steps;
    f(begin, end);
    begin = end;
  } while (begin < steps);
}

template <int U>
struct Vectors {
  static constexpr int value = U;
};

// Planes [begin, end), some at a time where they are small: what one step does to a plane takes long to come, and the
// next plane's can be worked on meanwhile.
template <class P>
void planes(const typename P::Args& args, int64_t begin, int64_t end) {
  const Shape& shape = P::norm(args).shape;
  typename P::A states[kMostTogether][P::kStates][P::kCount];
  int64_t together = shape.hw() < kBatch<typename P::T> ? kBatch<typename P::T> / shape.hw() : 1;
  if (together > kMostTogether) together = kMostTogether;
  for (int64_t first = begin; first < end; first += together) {
    const int64_t last = first + together < end ? first + together : end;
    for (int64_t item = first; item < last; ++item) {
      P pass(args, item / shape.c, item % shape.c, Whole{});
      pass.start();
      P::for_parts(pass.whole_steps(), [&](int64_t from, int64_t to) { pass.measure(from, to); });
      for (int i = 0; i < P::kStates; ++i) store_tile(states[item - first][i], pass.state(i), Whole{});
    }
    for (int64_t item = first; item < last; ++item) {
      P pass(args, item / shape.c, item % shape.c, Whole{});
      for (int i = 0; i < P::kStates; ++i)
        pass.state(i) = load_tile<typename P::A, P::U>(states[item - first][i], Whole{});
      pass.finish();
    }
    for (int64_t item = first; item < last; ++item) {
      P pass(args, item / shape.c, item % shape.c, Whole{});
      pass.start_write();
      for_runs(pass.whole_steps(), [&](int64_t from, int64_t to) { pass.write(from, to); });
      pass.finish_write();
    }
  }
}

// Some channels of every pixel of a sample, a run of pixels after the other and all groups of channels in each, so that
// memory is walked in order. Between runs a group's sums stand aside.
template <template <class> class Pass, bool kEpilogue, class T>
struct PixelBlock {
  using A = Acc<T>;
  template <int U, class Count>
  using PassOf = Pass<Group<Layout::pixels, kEpilogue, T, U, Count>>;
  using Args = typename PassOf<1, Whole>::Args;
  static constexpr int U = PassOf<1, Whole>::kPixelVectors;
  static constexpr int64_t L = kLanes<A>;

  const Args& args;
  int64_t n, first, last;
  A states[PassOf<1, Whole>::kStates][kMostChannels];

  // f(pass) for the pass of each group of channels.
  template <bool kWithState, class F>
  FASTGAN_INLINE void each(F f) {
    const auto one = [&](int64_t c, auto vectors, auto count) {
      using P = PassOf<decltype(vectors)::value, decltype(count)>;
      P pass(args, n, c, count);
      if constexpr (kWithState)
        for (int i = 0; i < P::kStates; ++i) pass.state(i) = load_tile<A, P::U>(states[i] + c - first, count);
      f(pass);
      if constexpr (kWithState)
        for (int i = 0; i < P::kStates; ++i) store_tile(states[i] + c - first, pass.state(i), count);
    };
    int64_t c = first;
    for (; c + U * L <= last; c += U * L) one(c, Vectors<U>{}, Whole{});
    if constexpr (U > 2)
      if (c + 2 * L <= last) one(c, Vectors<2>{}, Whole{}), c += 2 * L;
    for (; c + L <= last; c += L) one(c, Vectors<1>{}, Whole{});
    if (c < last) one(c, Vectors<1>{}, static_cast<int>(last - c));
  }

  void run() {
    const int64_t hw = PassOf<1, Whole>::norm(args).shape.hw();
    each<true>([](auto& pass) { pass.start(); });
    PassOf<1, Whole>::for_parts(hw, [&](int64_t begin, int64_t end) {
      each<true>([&](auto& pass) { pass.measure(begin, end); });
    });
    each<true>([](auto& pass) {
      pass.finish();
      pass.start_write();
    });
    for_runs(hw, [&](int64_t begin, int64_t end) { each<true>([&](auto& pass) { pass.write(begin, end); }); });
    each<true>([](auto& pass) { pass.finish_write(); });
  }
};

}  // namespace FASTGAN_ISA
}  // namespace fastgan
