#include "resample.h"
#include "wide.h"

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

// The vertical blend of each input column is made once: what it adds to the output pixel to its right waits in scratch.
template <class T>
void downsample_pixels_as(T*, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A t[4] = {A(a.taps[0]), A(a.taps[1]), A(a.taps[2]), A(a.taps[3])};
  A* const waiting = static_cast<A*>(a.scratch);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t image = item / a.out_h, i = item % a.out_h;
    const Row<T> rows[4] = {{a, image, 2 * i - 1}, {a, image, 2 * i}, {a, image, 2 * i + 1}, {a, image, 2 * i + 2}};
    const auto column = [&](int64_t j, int64_t c, auto count) FASTGAN_INLINED {
      Wide<A> v = t[0] * load_wide(rows[0].at(j) + c, count);
      for (int k = 1; k < 4; ++k) v = v + t[k] * load_wide(rows[k].at(j) + c, count);
      return v;
    };
    each_channel<A>(a.step, [&](int64_t c, auto count) FASTGAN_INLINED {
      store_tile(waiting + c, t[1] * column(0, c, count), Whole{});
    });
    T* out = static_cast<T*>(a.out) + item * a.out_w * a.step;
    for (int64_t j = 0; j < a.out_w; ++j, out += a.step) {
      each_channel<A>(a.step, [&](int64_t c, auto count) FASTGAN_INLINED {
        const Wide<A> odd = column(2 * j + 1, c, count), even = column(2 * j + 2, c, count);
        store_wide(out + c, load_tile<A, 2>(waiting + c, Whole{}) + t[2] * odd + t[3] * even, count);
        store_tile(waiting + c, t[0] * odd + t[1] * even, Whole{});
      });
    }
  }
}

}  // namespace

void upsample_pixels(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { upsample_pixels_as(storage, a, begin, end); });
}
void downsample_pixels(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { downsample_pixels_as(storage, a, begin, end); });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
