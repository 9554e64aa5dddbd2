// Tensors seen as [samples, values]: any shape whose first dimension is also the outermost in memory.
#pragma once

#include "tile.cuh"

namespace fastgan::cuda {

template <int V>
constexpr int SAMPLE_ITEMS = V == 1 ? 8 : 4;

template <Layout LAYOUT, int V>
using SampleTile = Tile<LAYOUT, V, SAMPLE_ITEMS<V>>;  // a sample is a plane of the only channel

inline Tensor by_sample(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() >= 1, "fastgan: expected a tensor with a batch dimension");
  return dense(x);
}

// Calls body(layout tag, width tag, tiling).
template <typename T, typename Body>
void dispatch_samples(const Tensor& x, Body body) {
  const int64_t samples = x.size(0), values = samples == 0 ? 0 : x.numel() / samples;
  dispatch_access<T>(Layout::contiguous, {samples, 1, 1, values}, true, [&](auto layout, auto width) {
    constexpr Layout LAYOUT = decltype(layout)::value;
    constexpr int V = decltype(width)::value;
    if constexpr (LAYOUT != Layout::channels_last) {
      body(layout, width, make_tiling(LAYOUT, samples, 1, values, V, SAMPLE_ITEMS<V>));
    }
  });
}

}  // namespace fastgan::cuda
