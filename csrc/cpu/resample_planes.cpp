#include "resample.h"
#include "wide.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

// The values one to the left of `here` and one to the right: neighbours come out of registers, since a load across
// two fresh stores would wait for both.
template <class A>
FASTGAN_INLINE Vec<A> left_of(Vec<A> before, Vec<A> here) {
  return shuffle<A>(before, here, [](int i) { return kLanes<A> - 1 + i; });
}
template <class A>
FASTGAN_INLINE Vec<A> right_of(Vec<A> here, Vec<A> after) {
  return shuffle<A>(here, after, [](int i) { return 1 + i; });
}

template <class A, class T>
FASTGAN_INLINE Vec<A> load_some(const T* p, Whole) {
  return load(p);
}
template <class A, class T>
FASTGAN_INLINE Vec<A> load_some(const T* p, int count) {
  return load_part<A>(p, count);
}

FASTGAN_INLINE int clamp(int64_t count, int most) {
  return count < 0 ? 0 : count < most ? static_cast<int>(count) : most;
}

// Walks over planes, row by row: f(plane, row) for each item, of which a plane has `rows`.
template <class F>
FASTGAN_INLINE void each_row(int64_t rows, int64_t begin, int64_t end, F f) {
  int64_t plane = begin / rows, row = begin % rows;
  for (int64_t item = begin; item < end; ++item) {
    f(plane, row);
    if (++row == rows) row = 0, ++plane;
  }
}

// Output rows 2i and 2i + 1 out of input rows i - 1, i and i + 1.
template <class T, class A = Acc<T>>
FASTGAN_INLINE void upsample_rows(T* const (&out)[2], const T* const (&in)[3], int64_t in_w, int64_t out_w,
                                  const A (&t)[4]) {
  constexpr int L = kLanes<A>;
  struct Both {
    Vec<A> row[2];
  };
  const auto vertical = [&](int64_t j, auto count) FASTGAN_INLINED {
    const Vec<A> above = load_some<A>(in[0] + j, count), here = load_some<A>(in[1] + j, count),
                 below = load_some<A>(in[2] + j, count);
    return Both{{t[1] * here + t[3] * above, t[2] * here + t[0] * below}};
  };
  const auto horizontal = [&](int64_t j, const Both& before, const Both& here, const Both& after,
                              auto count) FASTGAN_INLINED {
    // Downwards: where the last row has no companion both pointers are its own, and row 0 stays.
#pragma GCC unroll 2
    for (int r = 1; r >= 0; --r) {
      const Vec<A> v = here.row[r];
      const Vec<A> even = t[1] * v + t[3] * left_of<A>(before.row[r], v);
      const Vec<A> odd = t[2] * v + t[0] * right_of<A>(v, after.row[r]);
      store_pairs(out[r] + 2 * j, Pairs<A>{even, odd}, count);
    }
  };
  int64_t j = 0;
  Both before{}, here = in_w >= L ? vertical(0, Whole{}) : vertical(0, static_cast<int>(in_w));
  for (; j + 2 * L <= in_w; j += L) {
    const Both after = vertical(j + L, Whole{});
    horizontal(j, before, here, after, Whole{});
    before = here, here = after;
  }
  if (j + L == in_w && out_w == 2 * in_w) return horizontal(j, before, here, Both{}, Whole{});
  for (; 2 * j < out_w; j += L) {
    const int left = clamp(in_w - j - L, L);
    const Both after = left ? vertical(j + L, left) : Both{};
    horizontal(j, before, here, after, clamp(out_w - 2 * j, 2 * L));
    before = here, here = after;
  }
}

// Output row i out of input rows 2i - 1 to 2i + 2.
template <class T, class A = Acc<T>>
FASTGAN_INLINE void downsample_row(T* out, const T* const (&in)[4], int64_t in_w, int64_t out_w, const A (&t)[4]) {
  constexpr int L = kLanes<A>;
  const auto vertical = [&](int64_t j, auto count) FASTGAN_INLINED {
    Wide<A> v = t[0] * load_wide(in[0] + 2 * j, count);
    for (int k = 1; k < 4; ++k) v = v + t[k] * load_wide(in[k] + 2 * j, count);
    return apart<T>(v);
  };
  const auto horizontal = [&](const Pairs<A>& before, const Pairs<A>& here, const Pairs<A>& after) FASTGAN_INLINED {
    return t[0] * left_of<A>(before.odd, here.odd) + t[1] * here.even + t[2] * here.odd +
           t[3] * right_of<A>(here.even, after.even);
  };
  int64_t j = 0;
  Pairs<A> before{}, here = in_w >= 2 * L ? vertical(0, Whole{}) : vertical(0, static_cast<int>(in_w));
  for (; 2 * (j + 2 * L) <= in_w; j += L) {
    const Pairs<A> after = vertical(j + L, Whole{});
    store(out + j, horizontal(before, here, after));
    before = here, here = after;
  }
  if (2 * (j + L) == in_w) return store(out + j, horizontal(before, here, Pairs<A>{}));
  for (; j < out_w; j += L) {
    const int left = clamp(in_w - 2 * (j + L), 2 * L);
    const Pairs<A> after = left ? vertical(j + L, left) : Pairs<A>{};
    store_part<A>(out + j, horizontal(before, here, after), clamp(out_w - j, L));
    before = here, here = after;
  }
}

// Two output rows at once, of planes that are one vector wide: each is half of every vector.
template <class T, class A = Acc<T>>
FASTGAN_INLINE void downsample_narrow_rows(T* out, const T* const (&in)[6], const A (&t)[4]) {
  constexpr int L = kLanes<A>;
  Wide<A> v = t[0] * load_halves(in[0], in[2]);
  for (int k = 1; k < 4; ++k) v = v + t[k] * load_halves(in[k], in[k + 2]);
  const Pairs<A> here = apart<T>(v);
  const Vec<A> left = shuffle<A>(here.odd, Vec<A>{}, [](int i) { return i % (L / 2) ? i - 1 : L; });
  const Vec<A> right = shuffle<A>(here.even, Vec<A>{}, [](int i) { return (i + 1) % (L / 2) ? i + 1 : L; });
  store(out, t[0] * left + t[1] * here.even + t[2] * here.odd + t[3] * right);
}

template <class T>
void upsample_planes_as(T*, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A t[4] = {A(a.taps[0]), A(a.taps[1]), A(a.taps[2]), A(a.taps[3])};
  const T* const zeros = static_cast<const T*>(a.zeros);
  const int64_t in_h = a.in_h, in_w = a.in_w, out_h = a.out_h, out_w = a.out_w;
  each_row((out_h + 1) / 2, begin, end, [&](int64_t plane, int64_t i) FASTGAN_INLINED {
    const T* const x = static_cast<const T*>(a.in) + (plane * in_h + i) * in_w;
    T* const y = static_cast<T*>(a.out) + (plane * out_h + 2 * i) * out_w;
    upsample_rows<T>({y, 2 * i + 1 < out_h ? y + out_w : y},
                     {i > 0 ? x - in_w : zeros, i < in_h ? x : zeros, i + 1 < in_h ? x + in_w : zeros}, in_w, out_w, t);
  });
}

template <class T>
void downsample_planes_as(T*, const Resample& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A t[4] = {A(a.taps[0]), A(a.taps[1]), A(a.taps[2]), A(a.taps[3])};
  const T* const zeros = static_cast<const T*>(a.zeros);
  const int64_t in_h = a.in_h, in_w = a.in_w, out_h = a.out_h, out_w = a.out_w;
  each_row((out_h + 1) / 2, begin, end, [&](int64_t plane, int64_t pair) FASTGAN_INLINED {
    const int64_t first = 4 * pair - 1;
    const T* const x = static_cast<const T*>(a.in) + (plane * in_h + first) * in_w;
    const T* in[6];
    for (int r = 0; r < 6; ++r) in[r] = first + r >= 0 && first + r < in_h ? x + r * in_w : zeros;
    T* const y = static_cast<T*>(a.out) + (plane * out_h + 2 * pair) * out_w;
    const bool both = 2 * pair + 1 < out_h;
    if (both && in_w == kLanes<A>) return downsample_narrow_rows<T>(y, in, t);
    downsample_row<T>(y, {in[0], in[1], in[2], in[3]}, in_w, out_w, t);
    if (both) downsample_row<T>(y + out_w, {in[2], in[3], in[4], in[5]}, in_w, out_w, t);
  });
}

}  // namespace

void upsample_planes(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { upsample_planes_as(storage, a, begin, end); });
}
void downsample_planes(const Resample& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { downsample_planes_as(storage, a, begin, end); });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
