// style_epilogue: adain(leaky_relu(x + strength * noise + bias), scale, shift), the whole tail of a StyleGAN layer
// (Karras et al. 2019, figure 1b), in one pass over x.
#include "instance_norm.cuh"

namespace fastgan::cuda {
namespace {

// The slope must not be negative: the backward takes the sign of the activation's input from its output.
template <typename T>
Activation<T> activation_of(const Tensor& x, Shape shape, const std::optional<Tensor>& noise, const Tensor& strength,
                            const Tensor& bias, double slope) {
  using A = acc_t<T>;
  STD_TORCH_CHECK(slope >= 0, "fastgan: style_epilogue needs a slope of at least 0");
  Activation<T> a{};
  if (noise.has_value()) {
    const bool shared = noise->numel() == shape.pixels();
    a.noise = operand<T>(*noise, shared ? shape.pixels() : shape.images * shape.pixels(), x, x.scalar_type());
    a.noise_stride = shared ? 0 : shape.pixels();
  }
  a.strength = operand<A>(strength, shape.channels, x, acc_dtype(x));
  a.bias = operand<A>(bias, shape.channels, x, acc_dtype(x));
  a.slope = static_cast<A>(slope);
  return a;
}

std::tuple<Tensor, Tensor, Tensor> style_epilogue_cuda(const Tensor& x, const std::optional<Tensor>& noise,
                                                       const Tensor& strength, const Tensor& bias, const Tensor& scale,
                                                       const Tensor& shift, double slope, double eps) {
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
    f.activation = activation_of<T>(x, shape, noise, strength, bias, slope);
    f.scale = operand<A>(scale, planes, x, acc);
    f.shift = operand<A>(shift, planes, x, acc);
    f.y = output<T>(y);
    f.mean = output<A>(mean);
    f.rstd = output<A>(rstd);
    f.eps = static_cast<A>(eps);
    const Activation<T>& a = f.activation;
    const bool is_aligned = aligned(f.x, a.noise, a.strength, a.bias, f.scale, f.shift);
    dispatch_access<T>(layout_of(x), shape, is_aligned, [&](auto layout, auto width) {
      launch_forward<true, decltype(layout)::value, T, decltype(width)::value>(x, shape, f);
    });
  });
  return {y, mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> style_epilogue_backward_cuda(
    const Tensor& g_any, const Tensor& x, const std::optional<Tensor>& noise, const Tensor& strength,
    const Tensor& bias, const Tensor& scale, const Tensor& mean, const Tensor& rstd, double slope) {
  const Shape shape = shape_of(x);
  const int64_t planes = shape.images * shape.channels;
  const ScalarType acc = acc_dtype(x);
  const Tensor g = ordered_like(g_any, x);
  Tensor dx = torch::stable::empty_like(x);
  Tensor dstrength = new_empty(x, {shape.channels}, acc), dbias = torch::stable::empty_like(dstrength);
  Tensor dscale = new_empty(x, {shape.images, shape.channels}, acc), dshift = torch::stable::empty_like(dscale);
  dispatch_dtype(x, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    Backward<T> b{};
    b.g = input<T>(g);
    b.x = input<T>(x);
    b.activation = activation_of<T>(x, shape, noise, strength, bias, slope);
    b.scale = operand<A>(scale, planes, x, acc);
    b.mean = operand<A>(mean, planes, x, acc);
    b.rstd = operand<A>(rstd, planes, x, acc);
    b.dx = output<T>(dx);
    b.dscale = output<A>(dscale);
    b.dshift = output<A>(dshift);
    const Activation<T>& a = b.activation;
    const bool is_aligned = aligned(b.g, b.x, a.noise, a.strength, a.bias, b.scale, b.mean, b.rstd);
    dispatch_access<T>(layout_of(x), shape, is_aligned, [&](auto layout, auto width) {
      launch_backward<true, decltype(layout)::value, T, decltype(width)::value>(x, shape, b, output<A>(dbias),
                                                                                output<A>(dstrength));
    });
  });
  return {dx, dstrength, dbias, dscale, dshift};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("style_epilogue", TORCH_BOX(&style_epilogue_cuda));
  m.impl("style_epilogue_backward", TORCH_BOX(&style_epilogue_backward_cuda));
}

}  // namespace fastgan::cuda
