// Instance normalisation and its derivative, alone (adain) or with a StyleGAN layer's tail in front (style_epilogue):
//
//   h = x                                        adain
//   h = leaky_relu(x + strength * noise + bias)  style_epilogue (Karras et al. 2019, figure 1b)
//   y = (1 + scale) * (h - mean) * rstd + shift  mean and variance (biased) over the pixels of each plane
//
// A plane that fits the registers and the shared memory of a block, or of a cluster of blocks, is read once
// (resident.cuh). A larger one is split: its moments by chunks, their merger, then the map.
#pragma once

#include "norm_backward.cuh"
#include "norm_forward.cuh"

#include <tuple>

namespace fastgan::cuda {

struct Style {  // style_epilogue's operands; adain has none
  const std::optional<Tensor>& noise;
  const Tensor &strength, &bias;
  double slope;
};

// The slope must not be negative: the backward takes the sign of the activation's input from its output.
template <typename T>
Activation<T> activation_of(const Tensor& x, Shape shape, const Style& style) {
  using A = acc_t<T>;
  STD_TORCH_CHECK(style.slope >= 0, "fastgan: style_epilogue needs a slope of at least 0");
  Activation<T> a{};
  if (style.noise.has_value()) {
    const bool shared = style.noise->numel() == shape.pixels();
    const int64_t numel = shared ? shape.pixels() : shape.images * shape.pixels();
    a.noise = operand<T>(*style.noise, numel, x, x.scalar_type());
    a.noise_stride = shared ? 0 : shape.pixels();
  }
  a.strength = operand<A>(style.strength, shape.channels, x, acc_dtype(x));
  a.bias = operand<A>(style.bias, shape.channels, x, acc_dtype(x));
  a.slope = static_cast<A>(style.slope);
  return a;
}

// y, mean and rstd; `style` only with STYLE.
template <bool STYLE>
std::tuple<Tensor, Tensor, Tensor> instance_norm(const Tensor& x_any, const Style* style, const Tensor& scale,
                                                 const Tensor& shift, double eps) {
  const Tensor x = on_boundary(x_any);
  const Shape shape = shape_of(x);
  const int64_t planes = shape.images * shape.channels;
  const ScalarType acc = acc_dtype(x);
  Tensor y = torch::stable::empty_like(x);
  Tensor mean = new_empty(x, {shape.images, shape.channels}, acc), rstd = torch::stable::empty_like(mean);
  dispatch_dtype(x, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    Forward<T> f{};
    f.x = input<T>(x);
    if constexpr (STYLE) f.activation = activation_of<T>(x, shape, *style);
    f.scale = operand<A>(scale, planes, x, acc);
    f.shift = operand<A>(shift, planes, x, acc);
    f.y = output<T>(y);
    f.mean = output<A>(mean);
    f.rstd = output<A>(rstd);
    f.eps = static_cast<A>(eps);
    dispatch_access<T>(layout_of(x), shape, aligned(f.activation.noise), [&](auto layout, auto width) {
      launch_forward<STYLE, decltype(layout)::value, T, decltype(width)::value>(x, shape, f);
    });
  });
  return {y, mean, rstd};
}

struct InputGradients {
  Tensor dx, dscale, dshift;
  Tensor dstrength, dbias;  // [C], with STYLE only
};

template <bool STYLE>
InputGradients instance_norm_backward(const Tensor& g_any, const Tensor& x_any, const Style* style, const Tensor& scale,
                                      const Tensor& mean, const Tensor& rstd) {
  const Tensor x = on_boundary(x_any), g = ordered_like(g_any, x);
  const Shape shape = shape_of(x);
  const int64_t planes = shape.images * shape.channels;
  const ScalarType acc = acc_dtype(x);
  InputGradients d;
  d.dx = torch::stable::empty_like(x);
  d.dscale = new_empty(x, {shape.images, shape.channels}, acc);
  d.dshift = torch::stable::empty_like(d.dscale);
  if constexpr (STYLE) {
    d.dstrength = new_empty(x, {shape.channels}, acc);
    d.dbias = torch::stable::empty_like(d.dstrength);
  }
  dispatch_dtype(x, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    Backward<T> b{};
    b.g = input<T>(g);
    b.x = input<T>(x);
    A *dbias = nullptr, *dstrength = nullptr;
    if constexpr (STYLE) {
      b.activation = activation_of<T>(x, shape, *style);
      dbias = output<A>(d.dbias);
      dstrength = output<A>(d.dstrength);
    }
    b.scale = operand<A>(scale, planes, x, acc);
    b.mean = operand<A>(mean, planes, x, acc);
    b.rstd = operand<A>(rstd, planes, x, acc);
    b.dx = output<T>(d.dx);
    b.dscale = output<A>(d.dscale);
    b.dshift = output<A>(d.dshift);
    dispatch_access<T>(layout_of(x), shape, aligned(b.activation.noise), [&](auto layout, auto width) {
      launch_backward<STYLE, decltype(layout)::value, T, decltype(width)::value>(x, shape, b, dbias, dstrength);
    });
  });
  return d;
}

}  // namespace fastgan::cuda
