#include "bias_act.h"

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

constexpr int U = 4;
enum class Pass { forward, backward, tangent };

// gain * m * (in + bias), with m = 1 or slope by the sign of the forward's output (its own, in the forward pass).
template <Pass kPass, class A, class T, class Count>
FASTGAN_INLINE Tile<A, U> value(const BiasAct& a, int64_t offset, const Tile<A, U>& bias, Count count) {
  const A slope = static_cast<A>(a.slope), gain = static_cast<A>(a.gain);
  Tile<A, U> v = load_tile<A, U>(static_cast<const T*>(a.in) + offset, count);
  if constexpr (kPass != Pass::backward) v = v + bias;
  if constexpr (kPass == Pass::forward) return gain * leaky_relu(v, slope);
  const Tile<A, U> y = load_tile<A, U>(static_cast<const T*>(a.y) + offset, count);
  return gain * if_positive(y, v, slope * v);
}

// `planes`: an item is one plane with one bias.
template <Pass kPass, class T>
void planes(const BiasAct& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  constexpr int kCount = Tile<A, U>::kCount;
  const int64_t hw = a.shape.hw();
  T* out = static_cast<T*>(a.out);
  for (int64_t item = begin; item < end; ++item) {
    const Tile<A, U> bias =
        fill<A, U>(kPass == Pass::backward ? A(0) : static_cast<const A*>(a.bias)[item % a.shape.c]);
    Tile<A, U> total = fill<A, U>(0);
    const auto step = [&](int64_t offset, auto count) {
      const Tile<A, U> v = value<kPass, A, T>(a, offset, bias, count);
      if constexpr (kPass == Pass::backward) total = total + keep(v, count);
      store_tile(out + offset, v, count);
    };
    int64_t p = 0;
    for (; p + kCount <= hw; p += kCount) step(item * hw + p, Whole{});
    if (p < hw) step(item * hw + p, static_cast<int>(hw - p));
    if constexpr (kPass == Pass::backward) static_cast<A*>(a.sums)[item] = static_cast<A>(sum(total));
  }
}

// `pixels`: an item is a run of pixels, taken several at a time where that fills whole tiles: `together` pixels
// are one with `together` copies of the channels, and of their biases.
template <Pass kPass, class T>
void pixels(const BiasAct& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  constexpr int kCount = Tile<A, U>::kCount;
  constexpr int64_t kCopies = 4096;
  const int64_t channels = a.shape.c, all = a.shape.n * a.shape.hw();
  int64_t together = 1;
  while (together * channels % kCount && 2 * together * channels <= kCopies && 2 * together <= kPixelRun) together *= 2;
  const int64_t wide = together * channels;

  A bias_copies[kCopies], sum_copies[kCopies];
  const A* bias = static_cast<const A*>(a.bias);
  if (kPass != Pass::backward && together > 1) {
    for (int64_t i = 0; i < wide; ++i) bias_copies[i] = bias[i % channels];
    bias = bias_copies;
  }
  T* out = static_cast<T*>(a.out);
  for (int64_t item = begin; item < end; ++item) {
    A* item_sums = kPass == Pass::backward ? static_cast<A*>(a.sums) + item * channels : nullptr;
    A* sums = together > 1 ? sum_copies : item_sums;
    if (kPass == Pass::backward)
      for (int64_t i = 0; i < wide; ++i) sums[i] = 0;
    const auto step = [&](int64_t offset, int64_t c, auto count) {
      Tile<A, U> b;
      if constexpr (kPass != Pass::backward) b = load_tile<A, U>(bias + c, count);
      const Tile<A, U> v = value<kPass, A, T>(a, offset + c, b, count);
      if constexpr (kPass == Pass::backward) store_tile(sums + c, load_tile<A, U>(sums + c, count) + v, count);
      store_tile(out + offset + c, v, count);
    };
    const int64_t run_end = (item + 1) * kPixelRun < all ? (item + 1) * kPixelRun * channels : all * channels;
    for (int64_t offset = item * kPixelRun * channels; offset < run_end; offset += wide) {
      const int64_t size = offset + wide < run_end ? wide : run_end - offset;
      int64_t c = 0;
      for (; c + kCount <= size; c += kCount) step(offset, c, Whole{});
      if (c < size) step(offset, c, static_cast<int>(size - c));
    }
    if (kPass == Pass::backward && together > 1)
      for (int64_t c = 0; c < channels; ++c) {
        A total = 0;
        for (int64_t i = c; i < wide; i += channels) total += sums[i];
        item_sums[c] = total;
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
