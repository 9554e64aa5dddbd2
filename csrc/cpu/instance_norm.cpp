#include "instance_norm.h"

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

// Statistics are taken over chunks that stay in the first-level cache and combined (Chan et al. 1979), so that
// memory is read once and nothing cancels. Sums go chunk by chunk too: two short sums round less than a long one.
constexpr int64_t kChunk = 4096;

// A tile's worth of one sample: in `planes` the pixels of one channel, in `pixels` some channels of every pixel.
// Parameters and statistics are tiles as well: one value repeated, or one a channel. So each formula below is
// written once for both layouts.
template <Layout kLayout, bool kEpilogue, class T, int kVectors>
struct Group {
  using A = Acc<T>;
  static constexpr int U = kVectors;
  using Tile_ = Tile<A, U>;
  static constexpr int kCount = Tile_::kCount;

  const InstanceNorm& a;
  int64_t n, c;   // the sample and the first channel
  int channels;   // how many channels: 1 in planes, at most kCount in pixels
  const T* noise = nullptr;
  Tile_ strength, bias;
  A slope;

  Group(const InstanceNorm& args, int64_t n_, int64_t c_, int channels_)
      : a(args), n(n_), c(c_), channels(channels_), slope(static_cast<A>(args.slope)) {
    if constexpr (kEpilogue) {
      bias = parameter(a.bias, c);
      strength = parameter(a.strength, c);
      if (a.noise) noise = static_cast<const T*>(a.noise) + n * a.noise_stride;
    }
  }

  int64_t nc() const { return n * a.shape.c + c; }

  // Calls f(offset, pixel, count) for every tile of pixels [begin, end).
  template <class F>
  FASTGAN_INLINE void visit(int64_t begin, int64_t end, F f) const {
    if constexpr (kLayout == Layout::planes) {
      const int64_t base = nc() * a.shape.hw();
      int64_t p = begin;
      for (; p + kCount <= end; p += kCount) f(base + p, p, Whole{});
      if (p < end) f(base + p, p, static_cast<int>(end - p));
    } else {
      const int64_t stride = a.shape.c, base = n * a.shape.hw() * stride + c;
      if (channels == kCount) {
        for (int64_t p = begin; p < end; ++p) f(base + p * stride, p, Whole{});
      } else {
        for (int64_t p = begin; p < end; ++p) f(base + p * stride, p, channels);
      }
    }
  }

  // Sum over pixels of each channel's values in `t`.
  FASTGAN_INLINE Tile_ over_pixels(const Tile_& t) const {
    if constexpr (kLayout == Layout::planes) return fill<A, U>(static_cast<A>(sum(t)));
    return t;
  }

  Tile_ parameter(const void* values, int64_t at) const {
    const A* p = static_cast<const A*>(values) + at;
    if constexpr (kLayout == Layout::planes) return fill<A, U>(*p);
    return load_tile<A, U>(p, channels);
  }
  void put(void* values, const Tile_& t) const {
    A* p = static_cast<A*>(values) + nc();
    if constexpr (kLayout == Layout::planes) {
      *p = t.v[0][0];
    } else {
      store_tile(p, t, channels);
    }
  }

  template <class Count>
  FASTGAN_INLINE Tile_ noise_at(int64_t pixel, Count count) const {
    if constexpr (kLayout == Layout::planes) return load_tile<A, U>(noise + pixel, count);
    return fill<A, U>(load_one(noise + pixel));
  }

  // x + strength * noise + bias
  template <class Count>
  FASTGAN_INLINE Tile_ preactivation(int64_t offset, int64_t pixel, Count count) const {
    Tile_ p = load_tile<A, U>(static_cast<const T*>(a.x) + offset, count);
    if constexpr (kEpilogue) {
      p = p + bias;
      if (noise) p = p + strength * noise_at(pixel, count);
    }
    return p;
  }
  template <class Count>
  FASTGAN_INLINE Tile_ activation(int64_t offset, int64_t pixel, Count count) const {
    const Tile_ p = preactivation(offset, pixel, count);
    if constexpr (kEpilogue) return leaky_relu(p, slope);
    return p;
  }
};

template <Layout kLayout, bool kEpilogue, class T, int U>
void forward(const InstanceNorm& a, int64_t n, int64_t c, int channels) {
  using G = Group<kLayout, kEpilogue, T, U>;
  using A = typename G::A;
  using Tile_ = typename G::Tile_;
  const G group(a, n, c, channels);
  const int64_t hw = a.shape.hw(), chunk = kLayout == Layout::planes ? kChunk : kChunk / kChannelBlock;

  Tile_ mean = fill<A, G::U>(0), squares = mean;
  for (int64_t begin = 0; begin < hw; begin += chunk) {
    const int64_t end = begin + chunk < hw ? begin + chunk : hw;
    Tile_ total = fill<A, G::U>(0), centred = total;
    group.visit(begin, end, [&](int64_t offset, int64_t pixel, auto count) {
      total = total + keep(group.activation(offset, pixel, count), count);
    });
    const Tile_ chunk_mean = (A(1) / A(end - begin)) * group.over_pixels(total);
    group.visit(begin, end, [&](int64_t offset, int64_t pixel, auto count) {
      const Tile_ d = keep(group.activation(offset, pixel, count) - chunk_mean, count);
      centred = centred + d * d;
    });
    const Tile_ delta = chunk_mean - mean;
    mean = mean + (A(end - begin) / A(end)) * delta;
    squares = squares + group.over_pixels(centred) + (A(begin) * A(end - begin) / A(end)) * (delta * delta);
  }

  Tile_ rstd;
  for (int u = 0; u < G::U; ++u)
    for (int i = 0; i < kLanes<A>; ++i)
      rstd.v[u][i] = static_cast<A>(1 / __builtin_sqrt(squares.v[u][i] / static_cast<double>(hw) + a.eps));
  group.put(a.mean, mean);
  group.put(a.rstd, rstd);

  const Tile_ gain = (A(1) + group.parameter(a.scale, group.nc())) * rstd;
  const Tile_ shift = group.parameter(a.shift, group.nc());
  T* y = static_cast<T*>(a.y);
  group.visit(0, hw, [&](int64_t offset, int64_t pixel, auto count) {
    store_tile(y + offset, gain * (group.activation(offset, pixel, count) - mean) + shift, count);
  });
}

template <Layout kLayout, bool kEpilogue, class T, int U>
void backward(const InstanceNormBackward& b, int64_t n, int64_t c, int channels) {
  using G = Group<kLayout, kEpilogue, T, U>;
  using A = typename G::A;
  using Tile_ = typename G::Tile_;
  const InstanceNorm& a = b.forward;
  const G group(a, n, c, channels);
  const int64_t hw = a.shape.hw(), chunk = kLayout == Layout::planes ? kChunk : kChunk / kChannelBlock;
  const Tile_ mean = group.parameter(a.mean, group.nc()), rstd = group.parameter(a.rstd, group.nc());
  const Tile_ zero = fill<A, G::U>(0);
  const T* g = static_cast<const T*>(b.g);
  T* dx = static_cast<T*>(b.dx);

  Tile_ sum_g = zero, sum_g_xhat = zero;
  for (int64_t begin = 0; begin < hw; begin += chunk) {
    const int64_t end = begin + chunk < hw ? begin + chunk : hw;
    Tile_ part_g = zero, part_g_xhat = zero;
    group.visit(begin, end, [&](int64_t offset, int64_t pixel, auto count) {
      const Tile_ g_ = load_tile<A, G::U>(g + offset, count);  // zero past count, so both sums are right there
      part_g = part_g + g_;
      part_g_xhat = part_g_xhat + g_ * (group.activation(offset, pixel, count) - mean);
    });
    sum_g = sum_g + group.over_pixels(part_g);
    sum_g_xhat = sum_g_xhat + group.over_pixels(part_g_xhat);
  }
  sum_g_xhat = sum_g_xhat * rstd;
  group.put(b.dshift, sum_g);
  group.put(b.dscale, sum_g_xhat);

  const Tile_ gain = (A(1) + group.parameter(a.scale, group.nc())) * rstd;
  const Tile_ mean_g = (A(1) / A(hw)) * sum_g;
  const Tile_ slope_xhat = (A(1) / A(hw)) * (sum_g_xhat * rstd);
  Tile_ sum_dx = zero, sum_dx_noise = zero;
  for (int64_t begin = 0; begin < hw; begin += chunk) {
    const int64_t end = begin + chunk < hw ? begin + chunk : hw;
    Tile_ part_dx = zero, part_dx_noise = zero;
    group.visit(begin, end, [&](int64_t offset, int64_t pixel, auto count) {
      const Tile_ p = group.preactivation(offset, pixel, count);
      const Tile_ h = kEpilogue ? leaky_relu(p, group.slope) : p;
      Tile_ d = gain * (load_tile<A, G::U>(g + offset, count) - mean_g - (h - mean) * slope_xhat);
      if constexpr (kEpilogue) {
        d = keep(if_positive(p, d, group.slope * d), count);
        part_dx = part_dx + d;
        if (group.noise) part_dx_noise = part_dx_noise + d * group.noise_at(pixel, count);
      }
      store_tile(dx + offset, d, count);
    });
    sum_dx = sum_dx + part_dx;
    sum_dx_noise = sum_dx_noise + part_dx_noise;
  }
  if constexpr (kEpilogue) {
    group.put(b.dbias, group.over_pixels(sum_dx));
    group.put(b.dstrength, group.over_pixels(sum_dx_noise));
  }
}

// Cuts items into groups of at most one tile, of 4, 2 or 1 vectors: the most that the channels (or, in `planes`, the
// pixels) that are left fill. f(n, c, channels, tile), the tile's size as a type.
template <int U>
struct Vectors {
  static constexpr int value = U;
};

template <class A, class F>
void for_groups(const InstanceNorm& a, int64_t begin, int64_t end, F f) {
  constexpr int L = kLanes<A>;
  const auto sized = [&](int64_t n, int64_t c, int channels, int64_t room) {
    if (room >= 4 * L) return f(n, c, channels, Vectors<4>{});
    if (room >= 2 * L) return f(n, c, channels, Vectors<2>{});
    f(n, c, channels, Vectors<1>{});
  };
  if (a.layout == Layout::planes) {
    for (int64_t item = begin; item < end; ++item) sized(item / a.shape.c, item % a.shape.c, 1, a.shape.hw());
    return;
  }
  const int64_t blocks = (a.shape.c + kChannelBlock - 1) / kChannelBlock;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item % blocks * kChannelBlock;
    const int64_t last = first + kChannelBlock < a.shape.c ? first + kChannelBlock : a.shape.c;
    for (int64_t c = first; c < last;) {
      const int64_t left = last - c, tile = left >= 4 * L ? 4 * L : left >= 2 * L ? 2 * L : left >= L ? L : left;
      sized(item / blocks, c, static_cast<int>(tile), tile);
      c += tile;
    }
  }
}

template <Layout kLayout, bool kEpilogue, class T>
void forward_items(const InstanceNorm& a, int64_t begin, int64_t end) {
  for_groups<Acc<T>>(a, begin, end, [&](int64_t n, int64_t c, int channels, auto vectors) {
    forward<kLayout, kEpilogue, T, decltype(vectors)::value>(a, n, c, channels);
  });
}
template <Layout kLayout, bool kEpilogue, class T>
void backward_items(const InstanceNormBackward& b, int64_t begin, int64_t end) {
  for_groups<Acc<T>>(b.forward, begin, end, [&](int64_t n, int64_t c, int channels, auto vectors) {
    backward<kLayout, kEpilogue, T, decltype(vectors)::value>(b, n, c, channels);
  });
}

template <class T>
void forward_of(T*, const InstanceNorm& a, int64_t begin, int64_t end) {
  const bool planes = a.layout == Layout::planes;
  auto items = planes ? (a.epilogue ? forward_items<Layout::planes, true, T> : forward_items<Layout::planes, false, T>)
                      : (a.epilogue ? forward_items<Layout::pixels, true, T> : forward_items<Layout::pixels, false, T>);
  items(a, begin, end);
}
template <class T>
void backward_of(T*, const InstanceNormBackward& b, int64_t begin, int64_t end) {
  const bool planes = b.forward.layout == Layout::planes, epilogue = b.forward.epilogue;
  auto items = planes ? (epilogue ? backward_items<Layout::planes, true, T> : backward_items<Layout::planes, false, T>)
                      : (epilogue ? backward_items<Layout::pixels, true, T> : backward_items<Layout::pixels, false, T>);
  items(b, begin, end);
}

}  // namespace

void instance_norm(const InstanceNorm& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) { forward_of(storage, a, begin, end); });
}
void instance_norm_backward(const InstanceNormBackward& b, int64_t begin, int64_t end) {
  for_dtype(b.forward.dtype, [&](auto* storage) { backward_of(storage, b, begin, end); });
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
