// Mean and variance, never as E[h^2] - E[h]^2: each thread centres the values it holds, and groups are merged by Chan's
// formula. All means are kept as distances from a pivot, the plane's first value, until the end: large means then cost
// no digits, and a constant plane has a variance of exactly 0, as by Welford's method.
#pragma once

#include "activation.cuh"
#include "cluster.cuh"
#include "reduce.cuh"

namespace fastgan::cuda {

template <bool STYLE, Layout LAYOUT, typename T, int K, typename TileT>
__device__ __forceinline__ void load_pivot(acc_t<T> (&pivot)[K], const T* x, const Activation<T>& a,
                                           const Channels<STYLE, T, K>& channels, const TileT& tile) {
  // One pixel of K channels, whatever the layout.
  const int64_t back = LAYOUT == Layout::channels_last ? tile.origin * tile.step : tile.origin;
  acc_t<T> z = 0;
#pragma unroll
  for (int c = 0; c < K; ++c) pivot[c] = 0;
  if (!tile.active) return;
  if (STYLE && a.noise != nullptr) z = static_cast<acc_t<T>>(a.noise[tile.image * a.noise_stride]);
  load<K>(pivot, x + tile.base - back);
#pragma unroll
  for (int c = 0; c < K; ++c) pivot[c] = channels.activated(pivot[c], z, a, c);
}

template <typename A, int K>
struct Moments {  // of a set of values: how many, their mean, their summed squared distance from it
  A count;
  A mean[K], m2[K];
};

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

// Adds the values of one vector: their own mean first, then the distances from it.
template <Layout LAYOUT, int K, typename A, int V, typename TileT>
__device__ __forceinline__ void add_vector(Moments<A, K>& m, const A (&h)[V], const A (&pivot)[K], const TileT& tile,
                                           int i) {
  Moments<A, K> own{};
  if constexpr (LAYOUT == Layout::channels_last) {  // a single value of each channel
    own.count = 1;
#pragma unroll
    for (int c = 0; c < K; ++c) own.mean[c] = h[c] - pivot[c];
    return merge(m, own);
  }
  const bool whole = tile.whole(i);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (!whole && !tile.holds(i, v)) continue;
    own.count += 1;
    own.mean[0] += h[v] - pivot[0];
  }
  own.mean[0] *= whole ? A(1) / V : own.count > 0 ? 1 / own.count : A(0);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (!whole && !tile.holds(i, v)) continue;
    const A d = h[v] - pivot[0] - own.mean[0];
    own.m2[0] += d * d;
  }
  merge(m, own);
}

// Adds the vectors start, start + members, ... of x.
template <bool STYLE, Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void add_items(Moments<acc_t<T>, K>& m, const Vec<T, V> (&x)[ITEMS],
                                          const acc_t<T> (&pivot)[K], const Activation<T>& a,
                                          const Channels<STYLE, T, K>& channels, const TileT& tile, int start) {
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int i = start + k * tile.members;
    if (i >= tile.last) continue;
    acc_t<T> h[V], z[V] = {};
    activate<STYLE, LAYOUT, T, V>(h, z, x[k], a, channels, tile, i);
    add_vector<LAYOUT>(m, h, pivot, tile, i);
  }
}

// The same over all threads of a team, by sums alone: the mean, then distances from it and what rounding left in it.
template <Layout LAYOUT, typename A, int K>
__device__ __forceinline__ void team_merge(Moments<A, K>& m, A count) {
  const A inverse = count > 0 ? 1 / count : A(0);
  A mean[K], sums[2 * K];
#pragma unroll
  for (int c = 0; c < K; ++c) mean[c] = m.mean[c] * m.count;
  team_sum<LAYOUT>(mean);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    mean[c] *= inverse;
    const A d = m.count > 0 ? m.mean[c] - mean[c] : A(0);
    sums[c] = d * m.count;
    sums[K + c] = m.count > 0 ? m.m2[c] + d * d * m.count : A(0);
  }
  team_sum<LAYOUT>(sums);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    const A rest = sums[c] * inverse;
    m.mean[c] = mean[c] + rest;
    const A m2 = sums[K + c] - rest * sums[c];
    m.m2[c] = m2 < 0 ? A(0) : m2;  // keeps NaN
  }
  m.count = count;
}

// And over the blocks of a cluster, whose chunks make a plane.
template <Layout LAYOUT, typename A, int K, typename TileT>
__device__ __forceinline__ void cluster_merge(Moments<A, K>& m, const TileT& tile, const Tiling& tiling) {
  const int blocks = static_cast<int>(tiling.chunks);
  A own[2 * K];
#pragma unroll
  for (int c = 0; c < K; ++c) {
    own[c] = m.mean[c];
    own[K + c] = m.m2[c];
  }
  const auto all = cluster_gather<LAYOUT>(own, tile, blocks);
  const auto count_of = [&](int q) { return A(covered_pixels<LAYOUT, TileT::WIDTH>(tiling, q, tile.lead)); };
  m.count = A(tiling.pixels);
  const A inverse = 1 / m.count;
  A rest[K] = {};
#pragma unroll
  for (int c = 0; c < K; ++c) m.mean[c] = m.m2[c] = 0;
  for (int q = 0; q < blocks; ++q) {
    const A weight = count_of(q) * inverse;
#pragma unroll
    for (int c = 0; c < K; ++c) m.mean[c] += all.of(q)[c] * weight;
  }
  for (int q = 0; q < blocks; ++q) {
    const A count = count_of(q);
#pragma unroll
    for (int c = 0; c < K; ++c) {
      const A d = all.of(q)[c] - m.mean[c];
      rest[c] += d * count;
      if (count > 0) m.m2[c] += all.of(q)[K + c] + d * d * count;
    }
  }
#pragma unroll
  for (int c = 0; c < K; ++c) {
    const A m2 = m.m2[c] - rest[c] * inverse * rest[c];
    m.mean[c] += rest[c] * inverse;
    m.m2[c] = m2 < 0 ? A(0) : m2;  // keeps NaN
  }
}

template <typename A>
__device__ __forceinline__ A rstd_of(A m2, A count, A eps) {
  return 1 / sqrt(m2 / count + eps);
}

}  // namespace fastgan::cuda
