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

// `pixels`: an item is a run of pixels, each with every bias.
template <Pass kPass, class T>
void pixels(const BiasAct& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  constexpr int kCount = Tile<A, U>::kCount;
  const int64_t channels = a.shape.c, all = a.shape.n * a.shape.hw();
  T* out = static_cast<T*>(a.out);
  for (int64_t item = begin; item < end; ++item) {
    A* sums = kPass == Pass::backward ? static_cast<A*>(a.sums) + item * channels : nullptr;
    const int64_t first = item * kPixelRun, last = first + kPixelRun < all ? first + kPixelRun : all;
    const auto step = [&](int64_t pixel, int64_t c, auto count) {
      Tile<A, U> bias;
      if constexpr (kPass != Pass::backward) bias = load_tile<A, U>(static_cast<const A*>(a.bias) + c, count);
      const Tile<A, U> v = value<kPass, A, T>(a, pixel * channels + c, bias, count);
      if constexpr (kPass == Pass::backward)
        store_tile(sums + c, pixel == first ? v : load_tile<A, U>(sums + c, count) + v, count);
      store_tile(out + pixel * channels + c, v, count);
    };
    for (int64_t pixel = first; pixel < last; ++pixel) {
      int64_t c = 0;
      for (; c + kCount <= channels; c += kCount) step(pixel, c, Whole{});
      if (c < channels) step(pixel, c, static_cast<int>(channels - c));
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
