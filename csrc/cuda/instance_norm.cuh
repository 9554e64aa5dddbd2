// Instance normalisation and its derivative, alone (adain) or with a StyleGAN layer's tail in front (style_epilogue):
//
//   h = x                                        adain
//   h = leaky_relu(x + strength * noise + bias)  style_epilogue (Karras et al. 2019, figure 1b)
//   y = (1 + scale) * (h - mean) * rstd + shift  mean and variance (biased) over the pixels of each plane
//
// A plane that fits a block's registers is read once. A larger one takes two passes over x: moments of each chunk,
// merged by `merge_chunks_kernel`, then the map. Moments are never E[h^2] - E[h]^2: each thread centres its own values,
// and groups are merged by Chan's formula.
#pragma once

#include "tile.cuh"

#include <tuple>

namespace fastgan::cuda {

// Vectors a thread holds at once: registers are the limit, and the backward holds two tensors.
template <Layout LAYOUT, typename T, int V>
constexpr int FORWARD_ITEMS = V > 1 ? 32 / V : 64 / int(sizeof(acc_t<T>));
template <Layout LAYOUT, typename T, int V>
constexpr int BACKWARD_ITEMS = V > 1 ? (LAYOUT == Layout::contiguous ? 32 : 16) / V : 32 / int(sizeof(acc_t<T>));

template <typename T>
struct Activation {  // what stands before the normalisation; unused by adain
  const T* noise;    // [N or 1, 1, H, W], may be null
  int64_t noise_stride;  // pixels from one image's noise to the next: H * W, or 0 when all share it
  const acc_t<T>* strength;  // [C]
  const acc_t<T>* bias;      // [C]
  acc_t<T> slope;
};

template <typename T>
struct Forward {
  const T* x;
  Activation<T> activation;
  const acc_t<T>*scale, *shift;  // [N, C]
  T* y;
  acc_t<T>*mean, *rstd;  // [N, C]
  acc_t<T>*chunk_mean, *chunk_m2;  // [N, C, chunks], split planes only
  acc_t<T> eps;
};

template <typename T>
struct Backward {
  const T *g, *x;
  Activation<T> activation;
  const acc_t<T>*scale, *mean, *rstd;  // [N, C]
  T* dx;
  acc_t<T>*dscale, *dshift;                // [N, C]
  acc_t<T>*chunk_dscale, *chunk_dshift;    // [N, C, chunks], split planes only
  acc_t<T>*chunk_dbias, *chunk_dstrength;  // [N, C, chunks], style_epilogue only
};

// ---------------------------------------------------------------- loading

// Noise under vector i: V pixels of a plane, or the one pixel that V channels share.
template <Layout LAYOUT, typename T, int V, typename TileT>
__device__ __forceinline__ void load_noise(acc_t<T> (&z)[V], const Activation<T>& a, const TileT& tile, int64_t i) {
  if (a.noise == nullptr) {
#pragma unroll
    for (int v = 0; v < V; ++v) z[v] = 0;
  } else if constexpr (LAYOUT == Layout::contiguous) {
    load<V>(z, a.noise + tile.image * a.noise_stride + i * V);
  } else {
    const acc_t<T> pixel = static_cast<acc_t<T>>(a.noise[tile.image * a.noise_stride + i]);
#pragma unroll
    for (int v = 0; v < V; ++v) z[v] = pixel;
  }
}

// h for the vectors start, start + members, ...; undefined beyond tile.last.
template <bool STYLE, Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void load_h(acc_t<T> (&h)[ITEMS][V], const T* x, const Activation<T>& a,
                                       const acc_t<T> (&strength)[K], const acc_t<T> (&bias)[K], const TileT& tile,
                                       int64_t start) {
  Vec<T, V> raw[ITEMS];
  load_items(raw, x, tile, start);
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    acc_t<T> z[V] = {};
    const int64_t i = start + int64_t(k) * tile.members;
    if (STYLE && i < tile.last) load_noise<LAYOUT, T, V>(z, a, tile, i);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      h[k][v] = static_cast<acc_t<T>>(raw[k].value[v]);
      if constexpr (STYLE) {
        const int c = channel_of<LAYOUT>(v);
        const acc_t<T> before = h[k][v] + strength[c] * z[v] + bias[c];
        h[k][v] = before > 0 ? before : a.slope * before;
      }
    }
  }
}

// ---------------------------------------------------------------- moments
//
// All means are kept as distances from a pivot, the plane's first value, until the end: large means then cost no
// digits, and a constant plane has a variance of exactly 0, as by Welford's method.

template <bool STYLE, Layout LAYOUT, typename T, int K, typename TileT>
__device__ __forceinline__ void load_pivot(acc_t<T> (&pivot)[K], const T* x, const Activation<T>& a,
                                           const acc_t<T> (&strength)[K], const acc_t<T> (&bias)[K],
                                           const TileT& tile) {
  acc_t<T> first[1][TileT::WIDTH];
  load_h<STYLE, LAYOUT>(first, x, a, strength, bias, tile, 0);
#pragma unroll
  for (int c = 0; c < K; ++c) pivot[c] = first[0][c];
}

template <typename A, int K>
struct Moments {  // of a set of values: how many, their mean, their summed squared distance from it
  A count;
  A mean[K], m2[K];
};

// Two passes over the values a thread holds, taken from a pivot.
template <Layout LAYOUT, int K, typename A, int V, int ITEMS, typename TileT>
__device__ __forceinline__ Moments<A, K> moments_of(const A (&h)[ITEMS][V], const A (&pivot)[K], const TileT& tile,
                                                    int64_t start) {
  Moments<A, K> m{};
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    if (start + int64_t(k) * tile.members >= tile.last) continue;
    m.count += V / K;
#pragma unroll
    for (int v = 0; v < V; ++v) m.mean[channel_of<LAYOUT>(v)] += h[k][v] - pivot[channel_of<LAYOUT>(v)];
  }
  const A inverse = m.count > 0 ? 1 / m.count : A(0);
#pragma unroll
  for (int c = 0; c < K; ++c) m.mean[c] *= inverse;
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    if (start + int64_t(k) * tile.members >= tile.last) continue;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int c = channel_of<LAYOUT>(v);
      const A d = h[k][v] - pivot[c] - m.mean[c];
      m.m2[c] += d * d;
    }
  }
  return m;
}

// Chan, Golub, LeVeque 1979, equation 2.1.
template <typename A, int K>
__device__ __forceinline__ void merge(Moments<A, K>& into, const Moments<A, K>& other) {
  if (other.count == 0) return;
  if (into.count == 0) {  // not a mere shortcut: 0 * d^2 would be NaN for huge values
    into = other;
    return;
  }
  const A count = into.count + other.count, weight = other.count / count;
#pragma unroll
  for (int c = 0; c < K; ++c) {
    const A d = other.mean[c] - into.mean[c];
    into.mean[c] += d * weight;
    into.m2[c] += other.m2[c] + d * d * into.count * weight;
  }
  into.count = count;
}

// The same over all threads of a team, by sums alone: the mean, then distances from it and what rounding left in it.
template <Layout LAYOUT, typename A, int K>
__device__ __forceinline__ void team_merge(Moments<A, K>& m, A count) {
  A mean[K], sums[2 * K];
#pragma unroll
  for (int c = 0; c < K; ++c) mean[c] = m.mean[c] * m.count;
  team_sum<LAYOUT>(mean);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    mean[c] /= count;
    const A d = m.count > 0 ? m.mean[c] - mean[c] : A(0);
    sums[c] = d * m.count;
    sums[K + c] = m.count > 0 ? m.m2[c] + d * d * m.count : A(0);
  }
  team_sum<LAYOUT>(sums);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    const A rest = sums[c] / count;
    m.mean[c] = mean[c] + rest;
    const A m2 = sums[K + c] - rest * sums[c];
    m.m2[c] = m2 < 0 ? A(0) : m2;  // keeps NaN
  }
  m.count = count;
}

template <typename A>
__device__ __forceinline__ A rstd_of(A m2, A count, A eps) {
  return 1 / sqrt(m2 / count + eps);
}

// ---------------------------------------------------------------- forward

template <Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void store_normalised(const acc_t<T> (&h)[ITEMS][V], const Forward<T>& f,
                                                 const acc_t<T> (&mean)[K], const acc_t<T> (&gain)[K],
                                                 const acc_t<T> (&shift)[K], const TileT& tile, int64_t start) {
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int64_t i = start + int64_t(k) * tile.members;
    if (i >= tile.last) continue;
    acc_t<T> y[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int c = channel_of<LAYOUT>(v);
      y[v] = (h[k][v] - mean[c]) * gain[c] + shift[c];
    }
    store<V>(f.y + tile.base + i * tile.step, y);
  }
}

// Whole planes: x is read once and stays in registers.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) forward_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = FORWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);

  A h[ITEMS][V], pivot[K], strength[K] = {}, bias[K] = {};
  if constexpr (STYLE) {
    load_channels(strength, f.activation.strength + tile.channel, tile.active && f.activation.noise != nullptr);
    load_channels(bias, f.activation.bias + tile.channel, tile.active);
  }
  load_h<STYLE, LAYOUT>(h, f.x, f.activation, strength, bias, tile, tile.first);

  load_pivot<STYLE, LAYOUT>(pivot, f.x, f.activation, strength, bias, tile);
  auto m = moments_of<LAYOUT>(h, pivot, tile, tile.first);
  team_merge<LAYOUT>(m, A(tile.covered));
  A mean[K], rstd[K], gain[K], shift[K];
  load_channels(gain, f.scale + tile.plane, tile.active);
  load_channels(shift, f.shift + tile.plane, tile.active);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    mean[c] = pivot[c] + m.mean[c];
    rstd[c] = rstd_of(m.m2[c], m.count, f.eps);
    gain[c] = (1 + gain[c]) * rstd[c];
  }
  if (tile.leader) {
    store<K>(f.mean + tile.plane, mean);
    store<K>(f.rstd + tile.plane, rstd);
  }
  store_normalised<LAYOUT>(h, f, mean, gain, shift, tile, tile.first);
}

// Split planes, first pass: the moments of each chunk.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) chunk_moments_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = FORWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);

  A h[ITEMS][V], pivot[K], strength[K] = {}, bias[K] = {};
  if constexpr (STYLE) {
    load_channels(strength, f.activation.strength + tile.channel, tile.active && f.activation.noise != nullptr);
    load_channels(bias, f.activation.bias + tile.channel, tile.active);
  }
  load_pivot<STYLE, LAYOUT>(pivot, f.x, f.activation, strength, bias, tile);
  Moments<A, K> m{};
  for (int64_t start = tile.first; start < tile.last; start += tile.round_size()) {
    load_h<STYLE, LAYOUT>(h, f.x, f.activation, strength, bias, tile, start);
    merge(m, moments_of<LAYOUT>(h, pivot, tile, start));
  }
  team_merge<LAYOUT>(m, A(tile.covered));
  if (!tile.leader) return;
#pragma unroll
  for (int c = 0; c < K; ++c) {
    f.chunk_mean[(tile.plane + c) * tiling.chunks + tile.chunk] = pivot[c] + m.mean[c];
    f.chunk_m2[(tile.plane + c) * tiling.chunks + tile.chunk] = m.m2[c];
  }
}

// Split planes, between the passes: mean and rstd of each plane from its chunks, one warp a plane.
template <typename T>
__global__ void __launch_bounds__(256) merge_chunks_kernel(Forward<T> f, int64_t planes, int64_t chunks, int64_t pixels,
                                                           int64_t chunk_pixels) {
  using A = acc_t<T>;
  const int64_t plane = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  const A pivot = plane < planes ? f.chunk_mean[plane * chunks] : A(0);
  Moments<A, 1> m{};
  for (int64_t q = threadIdx.x; plane < planes && q < chunks; q += 32) {
    const int64_t rest = pixels - q * chunk_pixels;
    merge(m, Moments<A, 1>{A(rest < chunk_pixels ? rest : chunk_pixels),
                           {f.chunk_mean[plane * chunks + q] - pivot},
                           {f.chunk_m2[plane * chunks + q]}});
  }
  team_merge<Layout::contiguous>(m, A(pixels));
  if (plane >= planes || threadIdx.x != 0) return;
  f.mean[plane] = pivot + m.mean[0];
  f.rstd[plane] = rstd_of(m.m2[0], m.count, f.eps);
}

// Split planes, second pass.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) normalise_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = FORWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);

  A h[ITEMS][V], strength[K] = {}, bias[K] = {}, mean[K], rstd[K], gain[K], shift[K];
  if constexpr (STYLE) {
    load_channels(strength, f.activation.strength + tile.channel, tile.active && f.activation.noise != nullptr);
    load_channels(bias, f.activation.bias + tile.channel, tile.active);
  }
  load_channels(mean, f.mean + tile.plane, tile.active);
  load_channels(rstd, f.rstd + tile.plane, tile.active);
  load_channels(gain, f.scale + tile.plane, tile.active);
  load_channels(shift, f.shift + tile.plane, tile.active);
#pragma unroll
  for (int c = 0; c < K; ++c) gain[c] = (1 + gain[c]) * rstd[c];
  for (int64_t start = tile.first; start < tile.last; start += tile.round_size()) {
    load_h<STYLE, LAYOUT>(h, f.x, f.activation, strength, bias, tile, start);
    store_normalised<LAYOUT>(h, f, mean, gain, shift, tile, start);
  }
}

// ---------------------------------------------------------------- backward
//
// With n = (h - mean) * rstd and M pixels:
//   dshift = sum g      dscale = sum g * n
//   dh = (1 + scale) * rstd * (g - dshift / M - n * dscale / M)
//   dx = dh * (h > 0 ? 1 : slope)      dbias = sum dx      dstrength = sum dx * noise

enum class Pass { whole, sums, apply };

// Pass::whole does all of it in one read; for split planes Pass::sums takes the two sums of each chunk, and after they
// are folded Pass::apply takes the rest.
template <bool STYLE, Layout LAYOUT, typename T, int V, Pass PASS>
__global__ void __launch_bounds__(MAX_THREADS, 1) backward_kernel(Backward<T> b, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = BACKWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);

  A h[ITEMS][V], strength[K] = {}, bias[K] = {}, mean[K], rstd[K];
  Vec<T, V> g[ITEMS];
  if constexpr (STYLE) {
    load_channels(strength, b.activation.strength + tile.channel, tile.active && b.activation.noise != nullptr);
    load_channels(bias, b.activation.bias + tile.channel, tile.active);
  }
  load_channels(mean, b.mean + tile.plane, tile.active);
  load_channels(rstd, b.rstd + tile.plane, tile.active);

  A sums[2 * K] = {};  // dshift, dscale
  if constexpr (PASS != Pass::apply) {
    for (int64_t start = tile.first; start < tile.last; start += tile.round_size()) {
      load_items(g, b.g, tile, start);
      load_h<STYLE, LAYOUT>(h, b.x, b.activation, strength, bias, tile, start);
#pragma unroll
      for (int k = 0; k < ITEMS; ++k) {
        if (start + int64_t(k) * tile.members >= tile.last) continue;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const int c = channel_of<LAYOUT>(v);
          const A gv = static_cast<A>(g[k].value[v]);
          sums[c] += gv;
          sums[K + c] += gv * (h[k][v] - mean[c]) * rstd[c];
        }
      }
      if constexpr (PASS == Pass::whole) break;
    }
    team_sum<LAYOUT>(sums);
  }
  if constexpr (PASS == Pass::sums) {
    if (!tile.leader) return;
#pragma unroll
    for (int c = 0; c < K; ++c) {
      b.chunk_dshift[(tile.plane + c) * tiling.chunks + tile.chunk] = sums[c];
      b.chunk_dscale[(tile.plane + c) * tiling.chunks + tile.chunk] = sums[K + c];
    }
    return;
  }

  A dshift[K], dscale[K], gain[K];
  if constexpr (PASS == Pass::whole) {
#pragma unroll
    for (int c = 0; c < K; ++c) {
      dshift[c] = sums[c];
      dscale[c] = sums[K + c];
    }
    if (tile.leader) {
      store<K>(b.dshift + tile.plane, dshift);
      store<K>(b.dscale + tile.plane, dscale);
    }
  } else {
    load_channels(dshift, b.dshift + tile.plane, tile.active);
    load_channels(dscale, b.dscale + tile.plane, tile.active);
  }
  load_channels(gain, b.scale + tile.plane, tile.active);
  const A inverse = 1 / A(tiling.pixels);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    gain[c] = (1 + gain[c]) * rstd[c];
    dshift[c] *= inverse;
    dscale[c] *= inverse * rstd[c];
  }

  A parameter_sums[2 * K] = {};  // dbias, dstrength
  for (int64_t start = tile.first; start < tile.last; start += tile.round_size()) {
    if constexpr (PASS == Pass::apply) {
      load_items(g, b.g, tile, start);
      load_h<STYLE, LAYOUT>(h, b.x, b.activation, strength, bias, tile, start);
    }
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      const int64_t i = start + int64_t(k) * tile.members;
      if (i >= tile.last) continue;
      A dx[V], z[V] = {};
      if constexpr (STYLE) load_noise<LAYOUT, T, V>(z, b.activation, tile, i);
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const int c = channel_of<LAYOUT>(v);
        dx[v] = gain[c] * (static_cast<A>(g[k].value[v]) - dshift[c] - (h[k][v] - mean[c]) * dscale[c]);
        if constexpr (STYLE) {
          dx[v] *= h[k][v] > 0 ? A(1) : b.activation.slope;
          parameter_sums[c] += dx[v];
          if (b.activation.noise != nullptr) parameter_sums[K + c] += dx[v] * z[v];
        }
      }
      store<V>(b.dx + tile.base + i * tile.step, dx);
    }
    if constexpr (PASS == Pass::whole) break;
  }
  if constexpr (STYLE) {
    team_sum<LAYOUT>(parameter_sums);
    if (!tile.leader) return;
#pragma unroll
    for (int c = 0; c < K; ++c) {
      b.chunk_dbias[(tile.plane + c) * tiling.chunks + tile.chunk] = parameter_sums[c];
      b.chunk_dstrength[(tile.plane + c) * tiling.chunks + tile.chunk] = parameter_sums[K + c];
    }
  }
}

// ---------------------------------------------------------------- launchers

template <bool STYLE, Layout LAYOUT, typename T, int V>
void launch_forward(const Tensor& x, Shape shape, Forward<T> f) {
  const Launcher launch(x);
  const auto tiling =
      make_tiling(LAYOUT, shape.images, shape.channels, shape.pixels(), V, FORWARD_ITEMS<LAYOUT, T, V>);
  if (tiling.whole()) {
    launch(forward_kernel<STYLE, LAYOUT, T, V>, tiling.grid(), tiling.block, f, tiling);
    return;
  }
  const int64_t partials = tiling.planes() * tiling.chunks;
  Tensor workspace = new_empty(x, {2, partials}, acc_dtype(x));
  f.chunk_mean = output<acc_t<T>>(workspace);
  f.chunk_m2 = f.chunk_mean + partials;
  launch(chunk_moments_kernel<STYLE, LAYOUT, T, V>, tiling.grid(), tiling.block, f, tiling);
  const int members = LAYOUT == Layout::contiguous ? tiling.block.x * V : tiling.block.y;
  launch(merge_chunks_kernel<T>, ceil_div(tiling.planes(), 8), dim3(32, 8), f, tiling.planes(), tiling.chunks,
         tiling.pixels, tiling.rounds * members * FORWARD_ITEMS<LAYOUT, T, V>);
  launch(normalise_kernel<STYLE, LAYOUT, T, V>, tiling.grid(), tiling.block, f, tiling);
}

template <bool STYLE, Layout LAYOUT, typename T, int V>
void launch_backward(const Tensor& x, Shape shape, Backward<T> b, acc_t<T>* dbias, acc_t<T>* dstrength) {
  using A = acc_t<T>;
  const Launcher launch(x);
  const auto tiling =
      make_tiling(LAYOUT, shape.images, shape.channels, shape.pixels(), V, BACKWARD_ITEMS<LAYOUT, T, V>);
  const int64_t planes = tiling.planes(), partials = planes * tiling.chunks;
  Tensor workspace = new_empty(x, {4, tiling.whole() && !STYLE ? 0 : partials}, acc_dtype(x));
  b.chunk_dshift = output<A>(workspace);
  b.chunk_dscale = b.chunk_dshift + partials;
  b.chunk_dbias = b.chunk_dscale + partials;
  b.chunk_dstrength = b.chunk_dbias + partials;
  if (tiling.whole()) {
    launch(backward_kernel<STYLE, LAYOUT, T, V, Pass::whole>, tiling.grid(), tiling.block, b, tiling);
  } else {
    launch(backward_kernel<STYLE, LAYOUT, T, V, Pass::sums>, tiling.grid(), tiling.block, b, tiling);
    fold<A>(launch, b.chunk_dshift, b.dshift, 1, planes, tiling.chunks);
    fold<A>(launch, b.chunk_dscale, b.dscale, 1, planes, tiling.chunks);
    launch(backward_kernel<STYLE, LAYOUT, T, V, Pass::apply>, tiling.grid(), tiling.block, b, tiling);
  }
  if constexpr (STYLE) {
    fold<A>(launch, b.chunk_dbias, dbias, shape.images, shape.channels, tiling.chunks);
    fold<A>(launch, b.chunk_dstrength, dstrength, shape.images, shape.channels, tiling.chunks);
  }
}

}  // namespace fastgan::cuda
