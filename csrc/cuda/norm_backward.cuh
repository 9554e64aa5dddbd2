// The backward of instance_norm.cuh. With n = (h - mean) * rstd and M pixels:
//
//   dshift = sum g      dscale = sum g * n
//   dh = (1 + scale) * rstd * (g - dshift / M - n * dscale / M)
//   dx = dh * (h > 0 ? 1 : slope)      dbias = sum dx      dstrength = sum dx * noise
//
// Planes that stay on the chip in one kernel, which reads g and x once; split ones in two with a fold between them.
#pragma once

#include "activation.cuh"
#include "reduce.cuh"
#include "resident.cuh"

namespace fastgan::cuda {

// Vectors of each tensor a thread takes at once where both are read twice.
template <Layout LAYOUT, typename T, int V>
constexpr int BACKWARD_ITEMS = V == 1 ? 32 / int(sizeof(acc_t<T>)) : LAYOUT == Layout::channels_last ? 2 : 4;

template <typename T>
struct Backward {
  const T *g, *x;
  Activation<T> activation;
  const acc_t<T>*scale, *mean, *rstd;  // [N, C]
  T* dx;
  acc_t<T>*dscale, *dshift;                // [N, C]
  acc_t<T>*chunk_dshift, *chunk_dscale;    // [N, C, chunks], split planes only
  acc_t<T>*chunk_dbias, *chunk_dstrength;  // [N, C, chunks], style_epilogue only
};

// What one thread needs of its channels.
template <bool STYLE, typename T, int K>
struct Statistics {
  Channels<STYLE, T, K> channels;
  acc_t<T> mean[K], rstd[K];

  template <typename TileT>
  __device__ __forceinline__ Statistics(const Backward<T>& b, const TileT& tile) : channels(b.activation, tile) {
    load_channels(mean, b.mean + tile.plane, tile.active);
    load_channels(rstd, b.rstd + tile.plane, tile.active);
  }
};

// Adds to dshift (the first K of sums) and dscale (the others).
template <bool STYLE, Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void add_style_sums(acc_t<T> (&sums)[2 * K], const Vec<T, V> (&g)[ITEMS],
                                               const Vec<T, V> (&x)[ITEMS], const Backward<T>& b,
                                               const Statistics<STYLE, T, K>& s, const TileT& tile, int start) {
  using A = acc_t<T>;
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int i = start + k * tile.members;
    if (i >= tile.last) continue;
    A h[V], z[V] = {};
    activate<STYLE, LAYOUT, T, V>(h, z, x[k], b.activation, s.channels, tile, i);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int c = channel_of<LAYOUT>(v);
      const A gv = static_cast<A>(g[k].value[v]);  // 0 beyond a ragged plane
      sums[c] += gv;
      sums[K + c] += gv * (h[v] - s.mean[c]) * s.rstd[c];
    }
  }
}

// dh = gain * (g - shift - (h - mean) * scale): the sums as the last step needs them.
template <typename A, int K>
struct Slopes {
  A gain[K], shift[K], scale[K];

  template <typename T, bool STYLE, typename TileT>
  __device__ __forceinline__ Slopes(const A (&sums)[2 * K], const Backward<T>& b, const Statistics<STYLE, T, K>& s,
                                    const TileT& tile, int64_t pixels) {
    load_channels(gain, b.scale + tile.plane, tile.active);
    const A inverse = 1 / A(pixels);
#pragma unroll
    for (int c = 0; c < K; ++c) {
      gain[c] = (1 + gain[c]) * s.rstd[c];
      shift[c] = sums[c] * inverse;
      scale[c] = sums[K + c] * inverse * s.rstd[c];
    }
  }
};

// Writes dx and adds to dbias (the first K of sums) and dstrength (the others).
template <bool STYLE, Layout LAYOUT, typename T, int V, int ITEMS, int K, typename TileT>
__device__ __forceinline__ void store_gradient(acc_t<T> (&sums)[2 * K], const Vec<T, V> (&g)[ITEMS],
                                               const Vec<T, V> (&x)[ITEMS], const Backward<T>& b,
                                               const Statistics<STYLE, T, K>& s, const Slopes<acc_t<T>, K>& slopes,
                                               const TileT& tile, int start) {
  using A = acc_t<T>;
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int i = start + k * tile.members;
    if (i >= tile.last) continue;
    const bool whole = tile.whole(i);
    A h[V], dx[V], z[V] = {};
    activate<STYLE, LAYOUT, T, V>(h, z, x[k], b.activation, s.channels, tile, i);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int c = channel_of<LAYOUT>(v);
      const A centred = static_cast<A>(g[k].value[v]) - slopes.shift[c];
      dx[v] = slopes.gain[c] * (centred - (h[v] - s.mean[c]) * slopes.scale[c]);
      if constexpr (STYLE) {
        dx[v] *= h[v] > 0 ? A(1) : b.activation.slope;
        if (!whole && !tile.holds(i, v)) continue;
        sums[c] += dx[v];
        if (b.activation.noise != nullptr) sums[K + c] += dx[v] * z[v];
      }
    }
    store_vector<T, V>(b.dx, dx, tile, i);
  }
}

template <Layout LAYOUT, typename A, int K, typename TileT>
__device__ __forceinline__ void store_parameter_sums(A (&sums)[2 * K], A* dbias, A* dstrength, const TileT& tile,
                                                     const Tiling& tiling) {
  team_sum<LAYOUT>(sums);
  if (!tile.leader) return;
#pragma unroll
  for (int c = 0; c < K; ++c) {
    dbias[(tile.plane + c) * tiling.chunks + tile.chunk] = sums[c];
    dstrength[(tile.plane + c) * tiling.chunks + tile.chunk] = sums[K + c];
  }
}

// Whole planes, each in one block or one cluster.
template <bool STYLE, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(RESIDENT_THREADS * RESIDENT_BLOCKS<LAYOUT, T, V>, 1)
    resident_backward_kernel(Backward<T> b, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = RESIDENT_ITEMS<LAYOUT, T, V, 2>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  if (tiling.chunks > 1) cluster_arrive();
  const TileT tile(tiling);
  const Kept<LAYOUT, T, V, 0, 2> g(b.g, tile, tiling);
  const Kept<LAYOUT, T, V, 1, 2> x(b.x, tile, tiling);
  const Statistics<STYLE, T, K> statistics(b, tile);
  x.wait();

  A sums[2 * K] = {};
  int round = 0;
  for (int start = tile.first; start < tile.last; start += tile.round_size(), ++round) {
    Vec<T, V> raw_g[ITEMS], raw_x[ITEMS];
    g.take(raw_g, tile, start, round);
    x.take(raw_x, tile, start, round);
    add_style_sums<STYLE, LAYOUT, T, V>(sums, raw_g, raw_x, b, statistics, tile, start);
  }
  team_sum<LAYOUT>(sums);
  if (tiling.chunks > 1) {
    const int blocks = static_cast<int>(tiling.chunks);
    const auto all = cluster_gather<LAYOUT>(sums, tile, blocks);
#pragma unroll
    for (int c = 0; c < 2 * K; ++c) sums[c] = 0;
    for (int q = 0; q < blocks; ++q) {
#pragma unroll
      for (int c = 0; c < 2 * K; ++c) sums[c] += all.of(q)[c];
    }
  }
  if (tile.leader && tile.chunk == 0) {
#pragma unroll
    for (int c = 0; c < K; ++c) {
      b.dshift[tile.plane + c] = sums[c];
      b.dscale[tile.plane + c] = sums[K + c];
    }
  }

  const Slopes<A, K> slopes(sums, b, statistics, tile, tiling.pixels);
  A parameter_sums[2 * K] = {};
  round = 0;
  for (int start = tile.first; start < tile.last; start += tile.round_size(), ++round) {
    Vec<T, V> raw_g[ITEMS], raw_x[ITEMS];
    g.take(raw_g, tile, start, round);
    x.take(raw_x, tile, start, round);
    store_gradient<STYLE, LAYOUT, T, V>(parameter_sums, raw_g, raw_x, b, statistics, slopes, tile, start);
  }
  if constexpr (STYLE) {
    store_parameter_sums<LAYOUT, A, K>(parameter_sums, b.chunk_dbias, b.chunk_dstrength, tile, tiling);
  }
}

// Split planes: with SUMS the two sums of each chunk; without, after they are folded, the rest.
template <bool STYLE, Layout LAYOUT, typename T, int V, bool SUMS>
__global__ void __launch_bounds__(MAX_THREADS, 1) split_backward_kernel(Backward<T> b, Tiling tiling) {
  using A = acc_t<T>;
  constexpr int ITEMS = BACKWARD_ITEMS<LAYOUT, T, V>;
  using TileT = Tile<LAYOUT, V, ITEMS>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);
  const Statistics<STYLE, T, K> statistics(b, tile);
  A sums[2 * K] = {};
  const auto rounds = [&](const auto& use) {
    for (int start = tile.first; start < tile.last; start += tile.round_size()) {
      Vec<T, V> g[ITEMS], x[ITEMS];
      load_items(g, b.g, tile, start);
      load_items(x, b.x, tile, start);
      use(g, x, start);
    }
  };
  if constexpr (SUMS) {
    rounds([&](const auto& g, const auto& x, int start) {
      add_style_sums<STYLE, LAYOUT, T, V>(sums, g, x, b, statistics, tile, start);
    });
    store_parameter_sums<LAYOUT, A, K>(sums, b.chunk_dshift, b.chunk_dscale, tile, tiling);
  } else {
    if (tile.active) {
#pragma unroll
      for (int c = 0; c < K; ++c) {
        sums[c] = b.dshift[tile.plane + c];
        sums[K + c] = b.dscale[tile.plane + c];
      }
    }
    const Slopes<A, K> slopes(sums, b, statistics, tile, tiling.pixels);
    A parameter_sums[2 * K] = {};
    rounds([&](const auto& g, const auto& x, int start) {
      store_gradient<STYLE, LAYOUT, T, V>(parameter_sums, g, x, b, statistics, slopes, tile, start);
    });
    if constexpr (STYLE) {
      store_parameter_sums<LAYOUT, A, K>(parameter_sums, b.chunk_dbias, b.chunk_dstrength, tile, tiling);
    }
  }
}

template <bool STYLE, Layout LAYOUT, typename T, int V>
void launch_backward(const Tensor& x, Shape s, Backward<T> b, acc_t<T>* dbias, acc_t<T>* dstrength) {
  using A = acc_t<T>;
  const Launcher launch(x);
  const auto resident = resident_backward_kernel<STYLE, LAYOUT, T, V>;
  const auto whole = resident_tiling(LAYOUT, s, V, RESIDENT_ITEMS<LAYOUT, T, V, 2>, 2 * sizeof(Vec<T, V>),
                                     RESIDENT_BLOCKS<LAYOUT, T, V>, limits_of(resident, MAX_THREADS));
  Tiling tiling = whole ? *whole
                        : make_tiling(LAYOUT, s.images, s.channels, s.pixels(), V, BACKWARD_ITEMS<LAYOUT, T, V>);
  const int64_t planes = tiling.planes(), partials = planes * tiling.chunks;
  Tensor workspace = new_empty(x, {(STYLE ? 2 : 0) + (whole ? 0 : 2), partials}, acc_dtype(x));
  b.chunk_dbias = output<A>(workspace);
  b.chunk_dstrength = b.chunk_dbias + partials;
  b.chunk_dshift = STYLE ? b.chunk_dstrength + partials : b.chunk_dbias;
  b.chunk_dscale = b.chunk_dshift + partials;
  if (whole) {
    launch.clustered(resident, tiling.grid(), tiling.block, tiling.chunks, tiling.shared, b, tiling);
  } else {
    launch(split_backward_kernel<STYLE, LAYOUT, T, V, true>, tiling.grid(), tiling.block, b, tiling);
    fold<A>(launch, b.chunk_dshift, 1, planes, tiling.chunks, b.dshift, b.dscale);
    tiling.backwards = true;
    launch(split_backward_kernel<STYLE, LAYOUT, T, V, false>, tiling.grid(), tiling.block, b, tiling);
  }
  if constexpr (STYLE) fold<A>(launch, b.chunk_dbias, s.images, s.channels, tiling.chunks, dbias, dstrength);
}

}  // namespace fastgan::cuda
