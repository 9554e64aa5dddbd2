// adain: y = (1 + scale) * (x - mean) * rstd + shift, over each plane of x [N, C, H, W] (Huang & Belongie 2017, eq. 8).
#include "instance_norm.cuh"

namespace fastgan::cuda {
namespace {

std::tuple<Tensor, Tensor, Tensor> adain_cuda(const Tensor& x, const Tensor& scale, const Tensor& shift, double eps) {
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
    f.scale = operand<A>(scale, planes, x, acc);
    f.shift = operand<A>(shift, planes, x, acc);
    f.y = output<T>(y);
    f.mean = output<A>(mean);
    f.rstd = output<A>(rstd);
    f.eps = static_cast<A>(eps);
    dispatch_access<T>(layout_of(x), shape, aligned(f.x, f.scale, f.shift), [&](auto layout, auto width) {
      launch_forward<false, decltype(layout)::value, T, decltype(width)::value>(x, shape, f);
    });
  });
  return {y, mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> adain_backward_cuda(const Tensor& g_any, const Tensor& x, const Tensor& scale,
                                                       const Tensor& mean, const Tensor& rstd) {
  const Shape shape = shape_of(x);
  const int64_t planes = shape.images * shape.channels;
  const ScalarType acc = acc_dtype(x);
  const Tensor g = ordered_like(g_any, x);
  Tensor dx = torch::stable::empty_like(x);
  Tensor dscale = new_empty(x, {shape.images, shape.channels}, acc), dshift = torch::stable::empty_like(dscale);
  dispatch_dtype(x, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    Backward<T> b{};
    b.g = input<T>(g);
    b.x = input<T>(x);
    b.scale = operand<A>(scale, planes, x, acc);
    b.mean = operand<A>(mean, planes, x, acc);
    b.rstd = operand<A>(rstd, planes, x, acc);
    b.dx = output<T>(dx);
    b.dscale = output<A>(dscale);
    b.dshift = output<A>(dshift);
    const bool is_aligned = aligned(b.g, b.x, b.scale, b.mean, b.rstd);
    dispatch_access<T>(layout_of(x), shape, is_aligned, [&](auto layout, auto width) {
      launch_backward<false, decltype(layout)::value, T, decltype(width)::value>(x, shape, b, nullptr, nullptr);
    });
  });
  return {dx, dscale, dshift};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("adain", TORCH_BOX(&adain_cuda));
  m.impl("adain_backward", TORCH_BOX(&adain_backward_cuda));
}

}  // namespace fastgan::cuda
