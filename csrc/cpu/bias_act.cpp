#include "bias_act.h"

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

constexpr int U = 4;
constexpr int kRun = 64;  // tiles that are summed before they join the rest: short sums round less than a long one
enum class Pass { forward, backward, tangent };

// gain * m * (in + bias), with m = 1 or slope by the sign of the forward's output (its own, in the forward pass).
template <Pass kPass, class T>
struct Formula {
  using A = Acc<T>;
  using Tile_ = Tile<A, U>;
  static constexpr int kCount = Tile_::kCount;
  static constexpr bool kSums = kPass == Pass::backward;

  const T *in, *y;
  T* out;
  A slope, gain;

  explicit Formula(const BiasAct& a)
      : in(static_cast<const T*>(a.in)), y(static_cast<const T*>(a.y)), out(static_cast<T*>(a.out)),
        slope(static_cast<A>(a.slope)), gain(static_cast<A>(a.gain)) {}

  // Computes and stores a tile; returns it. `bias` is not used in the backward pass.
  template <class Count>
  FASTGAN_INLINE Tile_ step(int64_t offset, const Tile_& bias, Count count) const {
    Tile_ v = load_tile<A, U>(in + offset, count);
    if constexpr (kPass != Pass::backward) v = v + bias;
    Tile_ sign = v;
    if constexpr (kPass != Pass::forward) sign = load_tile<A, U>(y + offset, count);
    v = gain * if_positive(sign, v, slope * v);
    store_tile(out + offset, v, count);
    return v;
  }
};

// `planes`: an item is one plane with one bias.
template <Pass kPass, class T>
void planes(const BiasAct& a, int64_t begin, int64_t end) {
  using F = Formula<kPass, T>;
  using A = typename F::A;
  const F formula(a);
  const int64_t hw = a.shape.hw();
  for (int64_t item = begin, c = begin % a.shape.c; item < end; ++item, c = c + 1 < a.shape.c ? c + 1 : 0) {
    const auto bias = fill<A, U>(F::kSums ? A(0) : static_cast<const A*>(a.bias)[c]);
    auto total = fill<A, U>(0);
    int64_t p = 0;
    while (p + F::kCount <= hw) {
      auto run = fill<A, U>(0);
      for (int i = 0; i < kRun && p + F::kCount <= hw; ++i, p += F::kCount) {
        const auto v = formula.step(item * hw + p, bias, Whole{});
        if constexpr (F::kSums) run = run + v;
      }
      if constexpr (F::kSums) total = total + run;
    }
    if (p < hw) {
      const int count = static_cast<int>(hw - p);
      const auto v = formula.step(item * hw + p, bias, count);
      if constexpr (F::kSums) total = total + keep(v, count);
    }
    if constexpr (F::kSums) static_cast<A*>(a.sums)[item] = sum(total);
  }
}

// `pixels`: an item is a run of pixels, taken several at a time where that fills whole tiles: `together` pixels
// are one with `together` copies of the channels, and of their biases.
template <Pass kPass, class T>
void pixels(const BiasAct& a, int64_t begin, int64_t end) {
  using F = Formula<kPass, T>;
  using A = typename F::A;
  constexpr int64_t kCopies = 4096;
  const F formula(a);
  const int64_t channels = a.shape.c, all = a.shape.n * a.shape.hw();
  int64_t together = 1;
  while (together * channels % F::kCount && 2 * together * channels <= kCopies && 2 * together <= kPixelRun)
    together *= 2;
  const int64_t wide = together * channels;

  A bias_copies[kCopies], sum_copies[kCopies];
  const A* bias = static_cast<const A*>(a.bias);
  if (!F::kSums && together > 1) {
    for (int64_t i = 0; i < wide; ++i) bias_copies[i] = bias[i % channels];
    bias = bias_copies;
  }
  for (int64_t item = begin; item < end; ++item) {
    A* item_sums = F::kSums ? static_cast<A*>(a.sums) + item * channels : nullptr;
    A* sums = together > 1 ? sum_copies : item_sums;
    if (F::kSums)
      for (int64_t i = 0; i < wide; ++i) sums[i] = 0;
    const auto step = [&](int64_t offset, int64_t c, auto count) {
      if constexpr (F::kSums) {
        const auto v = formula.step(offset + c, fill<A, U>(0), count);
        store_tile(sums + c, load_tile<A, U>(sums + c, count) + v, count);
      } else {
        formula.step(offset + c, load_tile<A, U>(bias + c, count), count);
      }
    };
    const int64_t run_end = (item + 1) * kPixelRun < all ? (item + 1) * kPixelRun * channels : all * channels;
    for (int64_t offset = item * kPixelRun * channels; offset < run_end; offset += wide) {
      const int64_t size = offset + wide < run_end ? wide : run_end - offset;
      int64_t c = 0;
      for (; c + F::kCount <= size; c += F::kCount) step(offset, c, Whole{});
      if (c < size) step(offset, c, static_cast<int>(size - c));
    }
    if (F::kSums && together > 1)
      for (int64_t c = 0; c < channels; ++c) {
        double total = 0;
        for (int64_t i = c; i < wide; i += channels) total += sums[i];
        item_sums[c] = static_cast<A>(total);
      }
  }
}

template <Pass kPass, class T>
void run_as(T*, const BiasAct& a, int64_t begin, int64_t end) {
  (a.layout == Layout::planes ? planes<kPass, T> : pixels<kPass, T>)(a, begin, end);
}
template <Pass kPass>
void run(const BiasAct& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { run_as<kPass>(storage, a, begin, end); });
}

}  // namespace

void bias_act(const BiasAct& a, int64_t begin, int64_t end) { run<Pass::forward>(a, begin, end); }
void bias_act_backward(const BiasAct& a, int64_t begin, int64_t end) { run<Pass::backward>(a, begin, end); }
void bias_act_tangent(const BiasAct& a, int64_t begin, int64_t end) { run<Pass::tangent>(a, begin, end); }

}  // namespace FASTGAN_ISA
}  // namespace fastgan
