// Tensors seen as [samples, values]: any shape whose first dimension is also the outermost in memory.
#pragma once

#include "tile.cuh"

namespace fastgan::cuda {

template <int V>
constexpr int SAMPLE_ITEMS = V == 1 ? 8 : 4;

template <int V>
using SampleTile = Tile<Layout::contiguous, V, SAMPLE_ITEMS<V>>;  // a sample is a plane of the only channel

inline Tensor by_sample(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() >= 1, "fastgan: expected a tensor with a batch dimension");
  return dense(x);
}

// Calls body(width tag, tiling).
template <typename T, typename Body>
void dispatch_samples(const Tensor& x, bool is_aligned, Body body) {
  constexpr int W = WIDTH<T>;
  const int64_t samples = x.size(0), values = samples == 0 ? 0 : x.numel() / samples;
  const auto tiling = [&](int width, int items) {
    return make_tiling(Layout::contiguous, samples, 1, values, width, items);
  };
  if (W > 1 && is_aligned && values % W == 0) return body(std::integral_constant<int, W>{}, tiling(W, SAMPLE_ITEMS<W>));
  return body(std::integral_constant<int, 1>{}, tiling(1, SAMPLE_ITEMS<1>));
}

}  // namespace fastgan::cuda
