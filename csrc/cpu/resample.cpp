#include "resample.h"

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

constexpr int U = 1;  // rows are long and values independent: one vector a step is enough, and suits narrow layers

// Calls f(offset, count) for every tile of a row of `size` values.
template <class A, class F>
FASTGAN_INLINE void visit(int64_t size, F f) {
  constexpr int kCount = Tile<A, U>::kCount;
  int64_t i = 0;
  for (; i + kCount <= size; i += kCount) f(i, Whole{});
  if (i < size) f(i, static_cast<int>(size - i));
}

// out = sum of weights[k] * rows[k]; a null row is zero.
template <int K, class T, class A>
FASTGAN_INLINE void blend_rows(A* out, const T* const (&rows)[K], const A (&weights)[K], int64_t size) {
  const T* present[K];
  A weight[K];
  int count_present = 0;
  for (int k = 0; k < K; ++k)
    if (rows[k]) {
      present[count_present] = rows[k];
      weight[count_present++] = weights[k];
    }
  const auto blend = [&](auto inner) {
    visit<A>(size, [&](int64_t i, auto count) {
      Tile<A, U> v = fill<A, U>(0);
      for (int k = 0; k < inner(); ++k) v = v + weight[k] * load_tile<A, U>(present[k] + i, count);
      store_tile(out + i, v, count);
    });
  };
  if (count_present == K) return blend([] { return K; });  // every row but those at an edge: unrolled
  blend([&] { return count_present; });
}

// out[2j] = even[j], out[2j+1] = odd[j]
template <class A, class T>
FASTGAN_INLINE void store_interleaved(T* out, Vec<A> even, Vec<A> odd) {
  constexpr int L = kLanes<A>;
  store(out, shuffle<A>(even, odd, [](int i) { return i % 2 * L + i / 2; }));
  store(out + L, shuffle<A>(even, odd, [](int i) { return i % 2 * L + L / 2 + i / 2; }));
}

// v[0], v[2], v[4], ...
template <class A>
FASTGAN_INLINE Vec<A> load_every_second(const A* v) {
  return shuffle<A>(load(v), load(v + kLanes<A>), [](int i) { return 2 * i; });
}

template <class T>
void upsample_as(T* out, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const int64_t step = a.step, in_row = a.in_w * step, out_row = a.out_w * step;
  const A t0 = A(a.taps[0]), t1 = A(a.taps[1]), t2 = A(a.taps[2]), t3 = A(a.taps[3]);
  A* v = static_cast<A*>(a.scratch) + step;  // v[-1] and v[in_w] are pixels of zeros
  for (int64_t i = 0; i < step; ++i) v[i - step] = v[in_row + i] = 0;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t image = item / a.out_h, o = item % a.out_h, i = o / 2;
    const T* in = static_cast<const T*>(a.in) + image * a.in_h * in_row;
    const auto row = [&](int64_t r) { return r < 0 || r >= a.in_h ? nullptr : in + r * in_row; };
    const T* const rows[2] = {row(i), row(o % 2 ? i + 1 : i - 1)};
    const A weights[2] = {o % 2 ? t2 : t1, o % 2 ? t0 : t3};
    blend_rows(v, rows, weights, in_row);

    out = static_cast<T*>(a.out) + item * out_row;
    if (step == 1) {
      constexpr int L = kLanes<A>;
      int64_t j = 0;
      for (; j + L <= a.in_w; j += L) {
        const Vec<A> before = load(v + j - 1), here = load(v + j), after = load(v + j + 1);
        store_interleaved<A>(out + 2 * j, t1 * here + t3 * before, t2 * here + t0 * after);
      }
      for (; j < a.in_w; ++j) {
        store_one(out + 2 * j, t1 * v[j] + t3 * v[j - 1]);
        store_one(out + 2 * j + 1, t2 * v[j] + t0 * v[j + 1]);
      }
      if (a.out_w % 2) store_one(out + 2 * j, t3 * v[j - 1]);
      continue;
    }
    for (int64_t j = 0; j < a.out_w; ++j) {
      const A* here = v + j / 2 * step;
      const A* beside = j % 2 ? here + step : here - step;
      const A w_here = j % 2 ? t2 : t1, w_beside = j % 2 ? t0 : t3;
      visit<A>(step, [&](int64_t c, auto count) {
        store_tile(out + j * step + c,
                   w_here * load_tile<A, U>(here + c, count) + w_beside * load_tile<A, U>(beside + c, count), count);
      });
    }
  }
}

template <class T>
void downsample_as(T* out, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const int64_t step = a.step, in_row = a.in_w * step, out_row = a.out_w * step;
  const A t[4] = {A(a.taps[0]), A(a.taps[1]), A(a.taps[2]), A(a.taps[3])};
  A* v = static_cast<A*>(a.scratch) + step;  // v[-1], v[in_w] and v[in_w + 1] are pixels of zeros
  for (int64_t i = 0; i < step; ++i) v[i - step] = v[in_row + i] = v[in_row + step + i] = 0;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t image = item / a.out_h, i = 2 * (item % a.out_h);
    const T* in = static_cast<const T*>(a.in) + image * a.in_h * in_row;
    const auto row = [&](int64_t r) { return r < 0 || r >= a.in_h ? nullptr : in + r * in_row; };
    const T* const rows[4] = {row(i - 1), row(i), row(i + 1), row(i + 2)};
    blend_rows(v, rows, t, in_row);

    out = static_cast<T*>(a.out) + item * out_row;
    if (step == 1) {
      constexpr int L = kLanes<A>;
      int64_t j = 0;
      for (; j + L <= a.out_w && 2 * (j + L) + 1 <= a.in_w; j += L) {
        const A* at = v + 2 * j;
        store(out + j, t[0] * load_every_second(at - 1) + t[1] * load_every_second(at) +
                           t[2] * load_every_second(at + 1) + t[3] * load_every_second(at + 2));
      }
      for (; j < a.out_w; ++j)
        store_one(out + j, t[0] * v[2 * j - 1] + t[1] * v[2 * j] + t[2] * v[2 * j + 1] + t[3] * v[2 * j + 2]);
      continue;
    }
    for (int64_t j = 0; j < a.out_w; ++j) {
      const A* first = v + (2 * j - 1) * step;
      visit<A>(step, [&](int64_t c, auto count) {
        Tile<A, U> y = t[0] * load_tile<A, U>(first + c, count);
        for (int k = 1; k < 4; ++k) y = y + t[k] * load_tile<A, U>(first + k * step + c, count);
        store_tile(out + j * step + c, y, count);
      });
    }
  }
}

}  // namespace

void upsample2x(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { upsample_as(storage, a, begin, end); });
}
void downsample2x(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { downsample_as(storage, a, begin, end); });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
