// gradient_penalty: mean over samples of (|grad_n| - center)^2, and its derivative. Center 1 is WGAN-GP (Gulrajani et
// al. 2017, eq. 3); center 0 is the squared norm of R1 (Mescheder et al. 2018, eq. 9).
#include "reduce.cuh"
#include "samples.cuh"

#include <tuple>

namespace fastgan::cuda {
namespace {

constexpr int FINISH_WARPS = 8;

// chunk_squares[n, chunk] = sum of squares
template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1)
    squares_kernel(const T* grad, acc_t<T>* chunk_squares, Tiling tiling) {
  using A = acc_t<T>;
  const SampleTile<LAYOUT, V> tile(tiling);
  A sum[1] = {0};
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> values[SAMPLE_ITEMS<V>];
    load_items(values, grad, tile, start);  // zeros beyond the end
#pragma unroll
    for (int k = 0; k < SAMPLE_ITEMS<V>; ++k) {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const A value = static_cast<A>(values[k].value[v]);
        sum[0] += value * value;
      }
    }
  }
  team_sum<Layout::contiguous>(sum);
  if (tile.leader) chunk_squares[tile.image * tiling.chunks + tile.chunk] = sum[0];
}

// One block: the norm of each sample, one warp a sample, then their mean squared distance from the center.
template <typename A>
__global__ void __launch_bounds__(32 * FINISH_WARPS)
    penalty_kernel(const A* chunk_squares, A* norms, A* penalty, int64_t samples, int64_t chunks, A center) {
  __shared__ A sums[FINISH_WARPS];
  A sum = 0;
  for (int64_t n = threadIdx.y; n < samples; n += FINISH_WARPS) {
    A squares = 0;
    for (int64_t q = threadIdx.x; q < chunks; q += 32) squares += chunk_squares[n * chunks + q];
    for (int offset = 16; offset > 0; offset /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    const A norm = sqrt(squares);
    if (threadIdx.x == 0) norms[n] = norm;
    sum += (norm - center) * (norm - center);
  }
  if (threadIdx.x == 0) sums[threadIdx.y] = sum;
  __syncthreads();
  if (threadIdx.x != 0 || threadIdx.y != 0) return;
  A total = 0;
  for (int w = 0; w < FINISH_WARPS; ++w) total += sums[w];
  *penalty = total / A(samples);
}

template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) penalty_backward_kernel(const acc_t<T>* g, const T* grad,
                                                                       const acc_t<T>* norms, T* out,
                                                                       acc_t<T> center, Tiling tiling) {
  using A = acc_t<T>;
  const SampleTile<LAYOUT, V> tile(tiling);
  A factor = 0;
  if (tile.active) {
    const A norm = norms[tile.image];
    // At a norm of 0 the distance has no derivative unless the center is 0; 0 is the subgradient torch takes.
    const A slope = center == 0 ? A(1) : norm == 0 ? A(0) : 1 - center / norm;
    factor = *g * 2 / A(tiling.images) * slope;
  }
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> values[SAMPLE_ITEMS<V>];
    load_items(values, grad, tile, start);
#pragma unroll
    for (int k = 0; k < SAMPLE_ITEMS<V>; ++k) {
      const int i = start + k * tile.members;
      if (i >= tile.last) continue;
      A scaled[V];
#pragma unroll
      for (int v = 0; v < V; ++v) scaled[v] = factor * static_cast<A>(values[k].value[v]);
      store_vector<T, V>(out, scaled, tile, i);
    }
  }
}

std::tuple<Tensor, Tensor> gradient_penalty_cuda(const Tensor& grad_any, double center) {
  const Tensor grad = by_sample(grad_any);
  const int64_t samples = grad.size(0);
  Tensor penalty = new_empty(grad, {}, acc_dtype(grad)), norms = new_empty(grad, {samples}, acc_dtype(grad));
  dispatch_dtype(grad, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    const T* values = input<T>(grad);
    dispatch_samples<T>(grad, [&](auto layout, auto width, const Tiling& tiling) {
      const Launcher launch(grad);
      Tensor workspace = new_empty(grad, {samples, tiling.chunks}, acc_dtype(grad));
      A* squares = output<A>(workspace);
      launch(squares_kernel<decltype(layout)::value, T, decltype(width)::value>, tiling.grid(), tiling.block, values,
             squares, tiling);
      launch(penalty_kernel<A>, 1, dim3(32, FINISH_WARPS), squares, output<A>(norms), output<A>(penalty), samples,
             tiling.chunks, static_cast<A>(center));
    });
  });
  return {penalty, norms};
}

Tensor gradient_penalty_backward_cuda(const Tensor& g, const Tensor& grad_any, const Tensor& norms, double center) {
  const Tensor grad = by_sample(grad_any);
  Tensor out = torch::stable::empty_like(grad);
  dispatch_dtype(grad, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    const T* values = input<T>(grad);
    const A* upstream = operand<A>(g, 1, grad, acc_dtype(grad));
    const A* lengths = operand<A>(norms, grad.size(0), grad, acc_dtype(grad));
    dispatch_samples<T>(grad, [&](auto layout, auto width, const Tiling& tiling) {
      const Launcher launch(grad);
      launch(penalty_backward_kernel<decltype(layout)::value, T, decltype(width)::value>, tiling.grid(), tiling.block,
             upstream, values, lengths, output<T>(out), static_cast<A>(center), tiling);
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("gradient_penalty", TORCH_BOX(&gradient_penalty_cuda));
  m.impl("gradient_penalty_backward", TORCH_BOX(&gradient_penalty_backward_cuda));
}

}  // namespace fastgan::cuda
