// bias_act: y = gain * leaky_relu(x + bias), its first derivative, and the directional derivative that a second needs.
//
//   m(y) = y > 0 ? 1 : slope
//   backward  dx = gain * m(y) * g, dbias = sum of dx over all but the channel
//   tangent   gain * m(y) * (u + ubias)
#include "reduce.cuh"

#include <tuple>

namespace fastgan::cuda {
namespace {

enum class Map { forward, backward, tangent };

template <typename T>
struct Arguments {
  const T* in;           // x, g or u
  const acc_t<T>* bias;  // [C]: bias or ubias; none in the backward
  const T* y;            // none in the forward
  T* out;
  acc_t<T>* chunk_dbias;  // [planes, chunks], backward only
  acc_t<T> slope, gain;
};

template <int V>
constexpr int ITEMS = V == 1 ? 8 : 4;

template <Map MAP, Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(MAX_THREADS, 1) bias_act_kernel(Arguments<T> a, Tiling tiling) {
  using A = acc_t<T>;
  using TileT = Tile<LAYOUT, V, ITEMS<V>>;
  constexpr int K = TileT::CHANNELS;
  const TileT tile(tiling);

  A bias[K] = {}, dbias[K] = {};
  if constexpr (MAP != Map::backward) load_channels(bias, a.bias + tile.channel, tile.active);
  for (int start = tile.first; start < tile.last; start += tile.round_size()) {
    Vec<T, V> in[ITEMS<V>], y[ITEMS<V>];
    load_items(in, a.in, tile, start);
    if constexpr (MAP != Map::forward) load_items(y, a.y, tile, start);
#pragma unroll
    for (int k = 0; k < ITEMS<V>; ++k) {
      const int i = start + k * tile.members;
      if (i >= tile.last) continue;
      A out[V];
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const int c = channel_of<LAYOUT>(v);
        const A before = static_cast<A>(in[k].value[v]) + bias[c];
        const bool positive = MAP == Map::forward ? before > 0 : static_cast<A>(y[k].value[v]) > 0;
        out[v] = a.gain * (positive ? before : a.slope * before);
        dbias[c] += out[v];
      }
      store_vector<T, V>(a.out, out, tile, i);
    }
  }
  if constexpr (MAP == Map::backward) {
    team_sum<LAYOUT>(dbias);
    if (!tile.leader) return;
#pragma unroll
    for (int c = 0; c < K; ++c) a.chunk_dbias[(tile.plane + c) * tiling.chunks + tile.chunk] = dbias[c];
  }
}

// x as the kernels see it. The bias is the same for every image, so channels_last memory, and [N, C], is one image of
// N * H * W pixels.
struct View {
  Layout layout;
  Shape shape;
};

View view_of(const Tensor& x) {
  const Layout layout = layout_of(x);
  STD_TORCH_CHECK(x.dim() == 2 || x.dim() == 4, "fastgan: expected a tensor [N, C] or [N, C, H, W]");
  const Shape s = x.dim() == 4 ? shape_of(x) : Shape{x.size(0), x.size(1), 1, 1};
  if (layout == Layout::contiguous && s.pixels() != 1) return {layout, s};
  return {Layout::channels_last, {1, s.channels, s.images, s.pixels()}};
}

template <Map MAP, typename T>
void launch_bias_act(const Tensor& x, Arguments<T> a, acc_t<T>* dbias) {
  const View view = view_of(x);
  dispatch_access<T>(view.layout, view.shape, true, [&](auto layout, auto width) {
    constexpr Layout LAYOUT = decltype(layout)::value;
    constexpr int V = decltype(width)::value;
    const Launcher launch(x);
    const Shape s = view.shape;
    const auto tiling = make_tiling(LAYOUT, s.images, s.channels, s.pixels(), V, ITEMS<V>);
    Tensor workspace;
    if constexpr (MAP == Map::backward) {
      workspace = new_empty(x, {tiling.planes(), tiling.chunks}, acc_dtype(x));
      a.chunk_dbias = output<acc_t<T>>(workspace);
    }
    launch(bias_act_kernel<MAP, LAYOUT, T, V>, tiling.grid(), tiling.block, a, tiling);
    if constexpr (MAP == Map::backward) {
      fold<acc_t<T>>(launch, a.chunk_dbias, s.images, s.channels, tiling.chunks, dbias);
    }
  });
}

template <Map MAP>
Tensor run(const Tensor& in, const Tensor* bias, const Tensor* y, double slope, double gain, const Tensor* dbias) {
  Tensor out = torch::stable::empty_like(in);
  dispatch_dtype(in, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    Arguments<T> a{};
    a.in = input<T>(in);
    if (bias != nullptr) a.bias = operand<A>(*bias, in.size(1), in, acc_dtype(in));
    if (y != nullptr) a.y = input<T>(*y);
    a.out = output<T>(out);
    a.slope = static_cast<A>(slope);
    a.gain = static_cast<A>(gain);
    launch_bias_act<MAP, T>(in, a, dbias == nullptr ? nullptr : output<A>(*dbias));
  });
  return out;
}

Tensor bias_act_cuda(const Tensor& x, const Tensor& bias, double slope, double gain) {
  return run<Map::forward>(on_boundary(x), &bias, nullptr, slope, gain, nullptr);
}

std::tuple<Tensor, Tensor> bias_act_backward_cuda(const Tensor& g, const Tensor& y_any, double slope, double gain) {
  const Tensor y = on_boundary(y_any);
  Tensor dbias = new_empty(y, {y.size(1)}, acc_dtype(y));
  Tensor dx = run<Map::backward>(ordered_like(g, y), nullptr, &y, slope, gain, &dbias);
  return {dx, dbias};
}

Tensor bias_act_tangent_cuda(const Tensor& u, const Tensor& ubias, const Tensor& y_any, double slope, double gain) {
  const Tensor y = on_boundary(y_any);
  return run<Map::tangent>(ordered_like(u, y), &ubias, &y, slope, gain, nullptr);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("bias_act", TORCH_BOX(&bias_act_cuda));
  m.impl("bias_act_backward", TORCH_BOX(&bias_act_backward_cuda));
  m.impl("bias_act_tangent", TORCH_BOX(&bias_act_tangent_cuda));
}

}  // namespace fastgan::cuda
