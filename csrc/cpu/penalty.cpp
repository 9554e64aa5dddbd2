#include "penalty.h"

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

constexpr int U = 4;

// Calls f(sample, offset, count) for every tile of every piece [begin, end).
template <class A, class F>
FASTGAN_INLINE void visit(int64_t sample, int64_t item, F f) {
  constexpr int kCount = Tile<A, U>::kCount;
  const int64_t n = item / pieces(sample), first = item % pieces(sample) * kPiece;
  const int64_t last = first + kPiece < sample ? first + kPiece : sample;
  int64_t i = first;
  for (; i + kCount <= last; i += kCount) f(n, n * sample + i, Whole{});
  if (i < last) f(n, n * sample + i, static_cast<int>(last - i));
}

template <class T>
void interpolate_as(T* out, const Interpolate& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  out = static_cast<T*>(a.out);
  for (int64_t item = begin; item < end; ++item)
    visit<A>(a.sample, item, [&](int64_t n, int64_t offset, auto count) {
      const Tile<A, U> real = load_tile<A, U>(static_cast<const T*>(a.real) + offset, count);
      const Tile<A, U> fake = load_tile<A, U>(static_cast<const T*>(a.fake) + offset, count);
      store_tile(out + offset, real + static_cast<const A*>(a.t)[n] * (fake - real), count);
    });
}

template <class T>
void squared_norms_as(T*, const SquaredNorms& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  for (int64_t item = begin; item < end; ++item) {
    Tile<A, U> total = fill<A, U>(0);
    visit<A>(a.sample, item, [&](int64_t, int64_t offset, auto count) {
      const Tile<A, U> v = load_tile<A, U>(static_cast<const T*>(a.in) + offset, count);
      total = total + v * v;
    });
    a.out[item] = sum(total);
  }
}

template <class T>
void scale_as(T* out, const Scale& a, int64_t begin, int64_t end) {
  using A = Acc<T>;
  out = static_cast<T*>(a.out);
  for (int64_t item = begin; item < end; ++item)
    visit<A>(a.sample, item, [&](int64_t n, int64_t offset, auto count) {
      const Tile<A, U> v = load_tile<A, U>(static_cast<const T*>(a.in) + offset, count);
      store_tile(out + offset, static_cast<A>(a.weight[n]) * v, count);
    });
}

}  // namespace

void interpolate(const Interpolate& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { interpolate_as(storage, a, begin, end); });
}
void squared_norms(const SquaredNorms& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { squared_norms_as(storage, a, begin, end); });
}
void scale(const Scale& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { scale_as(storage, a, begin, end); });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
