// interpolate: real + t[n] * (fake - real), one t for each sample (Gulrajani et al. 2017, algorithm 1).
#include "samples.cuh"

namespace fastgan::cuda {
namespace {

template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1)
    interpolate_kernel(const T* real, const T* fake, const acc_t<T>* t, T* out, Tiling tiling) {
  using A = acc_t<T>;
  const SampleTile<LAYOUT, V> tile(tiling);
  const A weight = tile.active ? t[tile.image] : A(0);
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> a[SAMPLE_ITEMS<V>], b[SAMPLE_ITEMS<V>];
    load_items(a, real, tile, start);
    load_items(b, fake, tile, start);
#pragma unroll
    for (int k = 0; k < SAMPLE_ITEMS<V>; ++k) {
      const int i = start + k * tile.members;
      if (i >= tile.last) continue;
      A mixed[V];
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const A from = static_cast<A>(a[k].value[v]), to = static_cast<A>(b[k].value[v]);
        mixed[v] = from + weight * (to - from);
      }
      store_vector<T, V>(out, mixed, tile, i);
    }
  }
}

Tensor interpolate_cuda(const Tensor& real_any, const Tensor& fake_any, const Tensor& t) {
  const Tensor real = by_sample(real_any), fake = ordered_like(fake_any, real);
  Tensor out = torch::stable::empty_like(real);
  dispatch_dtype(real, [&](auto type) {
    using T = decltype(type);
    const T *a = input<T>(real), *b = input<T>(fake);
    const acc_t<T>* weights = operand<acc_t<T>>(t, real.size(0), real, acc_dtype(real));
    dispatch_samples<T>(real, [&](auto layout, auto width, const Tiling& tiling) {
      const Launcher launch(real);
      launch(interpolate_kernel<decltype(layout)::value, T, decltype(width)::value>, tiling.grid(), tiling.block, a, b,
             weights, output<T>(out), tiling);
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("interpolate", TORCH_BOX(&interpolate_cuda));
}

}  // namespace fastgan::cuda
