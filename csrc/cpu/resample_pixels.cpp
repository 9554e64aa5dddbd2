#include <type_traits>

#include "couple.h"
#include "resample.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

// Calls f(channel, count) for every wide tile of a pixel.
template <class A, class F>
FASTGAN_INLINE void each_channel(int64_t channels, F f) {
  constexpr int kCount = Wide<A>::kCount;
  int64_t c = 0;
  for (; c + kCount <= channels; c += kCount) f(c, Whole{});
  if (c < channels) f(c, static_cast<int>(channels - c));
}

// A row of input pixels; all of those outside of the picture are one pixel of zeros.
template <class T>
struct Row {
  const T *first, *zeros;
  int64_t width, step;  // step is 0 for a row of zeros

  Row(const Resample& a, int64_t image, int64_t row) : zeros(static_cast<const T*>(a.zeros)), width(a.in_w) {
    const bool inside = row >= 0 && row < a.in_h;
    first = inside ? static_cast<const T*>(a.in) + (image * a.in_h + row) * a.in_w * a.step : zeros;
    step = inside ? a.step : 0;
  }
  const T* operator[](int64_t column) const { return first + column * step; }  // of a column inside
  const T* at(int64_t column) const { return column >= 0 && column < width ? first + column * step : zeros; }
};

// A row of output pixels; those outside of the picture are written to one spare pixel.
template <class T>
struct OutRow {
  T *first, *spare;
  int64_t width, step;  // step is 0 for a row outside

  OutRow(const Resample& a, int64_t image, int64_t row) : spare(static_cast<T*>(a.scratch)), width(a.out_w) {
    const bool inside = row >= 0 && row < a.out_h;
    first = inside ? static_cast<T*>(a.out) + (image * a.out_h + row) * a.out_w * a.step : spare;
    step = inside ? a.step : 0;
  }
  T* operator[](int64_t column) const { return first + column * step; }
  T* at(int64_t column) const { return column >= 0 && column < width ? first + column * step : spare; }
};

// Two by two input pixels are all that the two by two output pixels between them need.
template <class T>
void upsample_pixels_as(T*, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A t0 = A(a.taps[0]), t1 = A(a.taps[1]), t2 = A(a.taps[2]), t3 = A(a.taps[3]);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t image = item / (a.in_h + 1), i = item % (a.in_h + 1);
    const Row<T> above(a, image, i - 1), below(a, image, i);
    const OutRow<T> odd(a, image, 2 * i - 1), even(a, image, 2 * i);
    for (int64_t j = 0; j <= a.in_w; ++j) {
      const T* const in[4] = {above.at(j - 1), above.at(j), below.at(j - 1), below.at(j)};
      T* const out[4] = {odd.at(2 * j - 1), odd.at(2 * j), even.at(2 * j - 1), even.at(2 * j)};
      each_channel<A>(a.step, [&](int64_t c, auto count) FASTGAN_INLINED {
        const Wide<A> nw = load_wide(in[0] + c, count), ne = load_wide(in[1] + c, count);
        const Wide<A> sw = load_wide(in[2] + c, count), se = load_wide(in[3] + c, count);
        const Wide<A> north_odd = t2 * nw + t0 * ne, north_even = t1 * ne + t3 * nw;
        const Wide<A> south_odd = t2 * sw + t0 * se, south_even = t1 * se + t3 * sw;
        store_wide(out[0] + c, t2 * north_odd + t0 * south_odd, count);
        store_wide(out[1] + c, t2 * north_even + t0 * south_even, count);
        store_wide(out[2] + c, t1 * south_odd + t3 * north_odd, count);
        store_wide(out[3] + c, t1 * south_even + t3 * north_even, count);
      });
    }
  }
}

// Two output rows, which share the two input rows between them. Channels outside, columns inside: what a column adds to
// the output pixel to its right waits in registers.
template <class T, class Pair>
void downsample_pixels_as(Pair*, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const double* const t = a.taps;
  const A t0 = A(t[0]), t1 = A(t[1]), t2 = A(t[2]), t3 = A(t[3]);
  const auto upper_half = Pair::weights(t[0], t[1]), lower_half = Pair::weights(t[2], t[3]);
  struct Both {
    Wide<A> row[2];
  };
  for (int64_t item = begin; item < end; ++item) {
    const int64_t rows = (a.out_h + 1) / 2, image = item / rows, i = item % rows * 2;
    const Row<T> in[6] = {{a, image, 2 * i - 1}, {a, image, 2 * i},     {a, image, 2 * i + 1},
                          {a, image, 2 * i + 2}, {a, image, 2 * i + 3}, {a, image, 2 * i + 4}};
    const OutRow<T> out[2] = {{a, image, i}, {a, image, i + 1}};
    each_channel<A>(a.step, [&](int64_t c, auto count) FASTGAN_INLINED {
      const auto vertical = [&](int64_t j) FASTGAN_INLINED {
        const Pair top = Pair::load(in[0][j] + c, in[1][j] + c, count);
        const Pair middle = Pair::load(in[2][j] + c, in[3][j] + c, count);
        const Pair bottom = Pair::load(in[4][j] + c, in[5][j] + c, count);
        return Both{{middle.blend(lower_half, top.blend(upper_half)),
                     bottom.blend(lower_half, middle.blend(upper_half))}};
      };
      Both waiting = vertical(0);
      FASTGAN_EACH(r, 2) waiting.row[r] = t1 * waiting.row[r];
      for (int64_t j = 0; j < a.out_w; ++j) {
        const Both odd = vertical(2 * j + 1), even = 2 * j + 2 < a.in_w ? vertical(2 * j + 2) : Both{};
        FASTGAN_EACH(r, 2) {
          Pair::store(out[r][j] + c, waiting.row[r] + t2 * odd.row[r] + t3 * even.row[r], count);
          waiting.row[r] = t0 * odd.row[r] + t1 * even.row[r];
        }
      }
    });
  }
}

}  // namespace

void upsample_pixels(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { upsample_pixels_as(storage, a, begin, end); });
}
void downsample_pixels(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) {
    using T = std::remove_pointer_t<decltype(storage)>;
    for_couple<T>(a.taps, [&](auto* pair) { downsample_pixels_as<T>(pair, a, begin, end); });
  });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
