// What stands before a normalisation: nothing (adain), or noise, bias and leaky ReLU (style_epilogue). It is computed
// again wherever it is needed: that is cheaper than to keep it in float32.
#pragma once

#include "tile.cuh"

namespace fastgan::cuda {

template <typename T>
struct Activation {  // unused by adain
  const T* noise;    // [N or 1, 1, H, W], may be null
  int64_t noise_stride;  // pixels from one image's noise to the next: H * W, or 0 when all share it
  const acc_t<T>* strength;  // [C]
  const acc_t<T>* bias;      // [C]
  acc_t<T> slope;
};

// Noise under vector i: V pixels of a plane, or the one pixel that V channels share.
template <Layout LAYOUT, typename T, int V, typename TileT>
__device__ __forceinline__ void load_noise(acc_t<T> (&z)[V], const Activation<T>& a, const TileT& tile, int i) {
  const T* at = a.noise + tile.image * a.noise_stride + tile.origin;
#pragma unroll
  for (int v = 0; v < V; ++v) z[v] = 0;
  if (a.noise == nullptr) return;
  if constexpr (LAYOUT == Layout::contiguous) {
    load<V>(z, at + i * V);
  } else if constexpr (LAYOUT == Layout::ragged) {  // x begins elsewhere between boundaries than its noise does
#pragma unroll
    for (int v = 0; v < V; ++v) {
      if (tile.holds(i, v)) z[v] = static_cast<acc_t<T>>(at[i * V + v]);
    }
  } else {
    const acc_t<T> pixel = static_cast<acc_t<T>>(at[i]);
#pragma unroll
    for (int v = 0; v < V; ++v) z[v] = pixel;
  }
}

// The activation's parameters for the channels of one thread.
template <bool STYLE, typename T, int K>
struct Channels {
  acc_t<T> strength[K] = {}, bias[K] = {};

  template <typename TileT>
  __device__ __forceinline__ Channels(const Activation<T>& a, const TileT& tile) {
    if constexpr (STYLE) {
      load_channels(strength, a.strength + tile.channel, tile.active && a.noise != nullptr);
      load_channels(bias, a.bias + tile.channel, tile.active);
    }
  }

  // h of one value of channel c with noise z.
  __device__ __forceinline__ acc_t<T> activated(acc_t<T> x, acc_t<T> z, const Activation<T>& a, int c) const {
    if constexpr (!STYLE) return x;
    const acc_t<T> before = x + strength[c] * z + bias[c];
    return before > 0 ? before : a.slope * before;
  }
};

// h of vector i, whose x is `raw`; z gets the noise under it.
template <bool STYLE, Layout LAYOUT, typename T, int V, int K, typename TileT>
__device__ __forceinline__ void activate(acc_t<T> (&h)[V], acc_t<T> (&z)[V], const Vec<T, V>& raw,
                                         const Activation<T>& a, const Channels<STYLE, T, K>& channels,
                                         const TileT& tile, int i) {
  if constexpr (STYLE) load_noise<LAYOUT, T, V>(z, a, tile, i);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    h[v] = channels.activated(static_cast<acc_t<T>>(raw.value[v]), z[v], a, channel_of<LAYOUT>(v));
  }
}

}  // namespace fastgan::cuda
