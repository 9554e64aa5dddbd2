// The forward of instance_norm.cuh: planes that stay on the chip in one kernel, split ones in three.
#pragma once

#include "moments.cuh"
#include "resident.cuh"

namespace fastgan::cuda {

// Vectors a thread takes at once of a plane that is read twice.
template <Layout LAYOUT, typename T, int V>
constexpr int FORWARD_ITEMS = V > 1 ? 4 : 64 / int(sizeof(acc_t<T>));

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

template <bool STYLE, Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void store_normalised(const Vec<T, V> (&x)[ITEMS], const Forward<T>& f,
                                                 const Channels<STYLE, T, K>& channels, const acc_t<T> (&mean)[K],
                                                 const acc_t<T> (&gain)[K], const acc_t<T> (&shift)[K],
                                                 const TileT& tile, int start) {
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int i = start + k * tile.members;
    if (i >= tile.last) continue;
    acc_t<T> h[V], z[V] = {};
    activate<STYLE, LAYOUT, T, V>(h, z, x[k], f.activation, channels, tile, i);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int c = channel_of<LAYOUT>(v);
      h[v] = (h[v] - mean[c]) * gain[c] + shift[c];
    }
    store_vector<T, V>(f.y, h, tile, i);
  }
}

// Whole planes, each in one block or one cluster: x is read once.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(RESIDENT_THREADS * RESIDENT_BLOCKS<LAYOUT, T, V>, 1)
    resident_forward_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = RESIDENT_ITEMS<LAYOUT, T, V, 1>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  if (tiling.chunks > 1) cluster_arrive();
  const TileT tile(tiling);
  const Kept<LAYOUT, T, V, 0, 1> x(f.x, tile, tiling);
  const Channels<STYLE, T, K> channels(f.activation, tile);
  A pivot[K];
  load_pivot<STYLE, LAYOUT>(pivot, f.x, f.activation, channels, tile);
  x.wait();

  Moments<A, K> m{};
  int round = 0;
  for (int start = tile.first; start < tile.last; start += tile.round_size(), ++round) {
    Vec<T, V> raw[ITEMS];
    x.take(raw, tile, start, round);
    add_items<STYLE, LAYOUT>(m, raw, pivot, f.activation, channels, tile, start);
  }
  team_merge<LAYOUT>(m, A(covered_pixels<LAYOUT, V>(tiling, tile.chunk, tile.lead)));
  if (tiling.chunks > 1) cluster_merge<LAYOUT>(m, tile, tiling);

  A mean[K], rstd[K], gain[K], shift[K];
  load_channels(gain, f.scale + tile.plane, tile.active);
  load_channels(shift, f.shift + tile.plane, tile.active);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    mean[c] = pivot[c] + m.mean[c];
    rstd[c] = rstd_of(m.m2[c], m.count, f.eps);
    gain[c] = (1 + gain[c]) * rstd[c];
  }
  if (tile.leader && tile.chunk == 0) {
    store<K>(f.mean + tile.plane, mean);
    store<K>(f.rstd + tile.plane, rstd);
  }
  round = 0;
  for (int start = tile.first; start < tile.last; start += tile.round_size(), ++round) {
    Vec<T, V> raw[ITEMS];
    x.take(raw, tile, start, round);
    store_normalised<STYLE, LAYOUT>(raw, f, channels, mean, gain, shift, tile, start);
  }
}

// Split planes, first pass: the moments of each chunk.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) chunk_moments_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = FORWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);
  const Channels<STYLE, T, K> channels(f.activation, tile);

  A pivot[K];
  load_pivot<STYLE, LAYOUT>(pivot, f.x, f.activation, channels, tile);
  Moments<A, K> m{};
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> raw[ITEMS];
    load_items(raw, f.x, tile, start);
    add_items<STYLE, LAYOUT>(m, raw, pivot, f.activation, channels, tile, start);
  }
  team_merge<LAYOUT>(m, A(covered_pixels<LAYOUT, V>(tiling, tile.chunk, tile.lead)));
  if (!tile.leader) return;
#pragma unroll
  for (int c = 0; c < K; ++c) {
    f.chunk_mean[(tile.plane + c) * tiling.chunks + tile.chunk] = pivot[c] + m.mean[c];
    f.chunk_m2[(tile.plane + c) * tiling.chunks + tile.chunk] = m.m2[c];
  }
}

// Split planes, between the passes: mean and rstd of each plane from its chunks, one warp a plane.
template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(256) merge_chunks_kernel(Forward<T> f, Tiling tiling) {
  using A = acc_t<T>;
  const int64_t plane = int64_t(blockIdx.x) * blockDim.y + threadIdx.y, chunks = tiling.chunks;
  const bool active = plane < tiling.planes();
  const int lead = lead_of<LAYOUT, V>(plane, tiling.pixels);
  const A pivot = active ? f.chunk_mean[plane * chunks] : A(0);
  Moments<A, 1> m{};
  for (int64_t q = threadIdx.x; active && q < chunks; q += 32) {
    merge(m, Moments<A, 1>{A(covered_pixels<LAYOUT, V>(tiling, q, lead)),
                           {f.chunk_mean[plane * chunks + q] - pivot},
                           {f.chunk_m2[plane * chunks + q]}});
  }
  team_merge<Layout::contiguous>(m, A(tiling.pixels));
  if (!active || threadIdx.x != 0) return;
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
  const Channels<STYLE, T, K> channels(f.activation, tile);

  A mean[K], rstd[K], gain[K], shift[K];
  load_channels(mean, f.mean + tile.plane, tile.active);
  load_channels(rstd, f.rstd + tile.plane, tile.active);
  load_channels(gain, f.scale + tile.plane, tile.active);
  load_channels(shift, f.shift + tile.plane, tile.active);
#pragma unroll
  for (int c = 0; c < K; ++c) gain[c] = (1 + gain[c]) * rstd[c];
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> raw[ITEMS];
    load_items(raw, f.x, tile, start);
    store_normalised<STYLE, LAYOUT>(raw, f, channels, mean, gain, shift, tile, start);
  }
}

template <bool STYLE, Layout LAYOUT, typename T, int V>
void launch_forward(const Tensor& x, Shape s, Forward<T> f) {
  const Launcher launch(x);
  const auto resident = resident_forward_kernel<STYLE, LAYOUT, T, V>;
  const auto whole = resident_tiling(LAYOUT, s, V, RESIDENT_ITEMS<LAYOUT, T, V, 1>, sizeof(Vec<T, V>),
                                     RESIDENT_BLOCKS<LAYOUT, T, V>, limits_of(resident, MAX_THREADS));
  if (whole) {
    launch.clustered(resident, whole->grid(), whole->block, whole->chunks, whole->shared, f, *whole);
    return;
  }
  auto tiling = make_tiling(LAYOUT, s.images, s.channels, s.pixels(), V, FORWARD_ITEMS<LAYOUT, T, V>);
  const int64_t partials = tiling.planes() * tiling.chunks;
  Tensor workspace = new_empty(x, {2, partials}, acc_dtype(x));
  f.chunk_mean = output<acc_t<T>>(workspace);
  f.chunk_m2 = f.chunk_mean + partials;
  launch(chunk_moments_kernel<STYLE, LAYOUT, T, V>, tiling.grid(), tiling.block, f, tiling);
  launch(merge_chunks_kernel<LAYOUT, T, V>, ceil_div(tiling.planes(), 8), dim3(32, 8), f, tiling);
  tiling.backwards = true;
  launch(normalise_kernel<STYLE, LAYOUT, T, V>, tiling.grid(), tiling.block, f, tiling);
}

}  // namespace fastgan::cuda
