#include "check.h"
#include "cpu/instance_norm.h"

namespace fastgan {
namespace {

using Three = std::tuple<Tensor, Tensor, Tensor>;

Three adain(const Tensor& x_, const Tensor& scale_, const Tensor& shift_, double eps) {
  check_image("adain", x_);
  const Tensor x = dense(x_);
  const Shape s = shape_of(x);
  const Tensor scale = checked_parameter("adain", "scale", scale_, x, s.n * s.c);
  const Tensor shift = checked_parameter("adain", "shift", shift_, x, s.n * s.c);
  Tensor y = torch::stable::empty_like(x);
  Tensor mean = empty_parameter(x, {s.n, s.c}), rstd = empty_parameter(x, {s.n, s.c});

  InstanceNorm a{};
  a.dtype = dtype_of(x), a.layout = layout_of(x), a.shape = s, a.epilogue = false;
  a.block = channels_per_item(s, torch::stable::get_num_threads());
  a.x = x.const_data_ptr(), a.scale = scale.const_data_ptr(), a.shift = shift.const_data_ptr(), a.eps = eps;
  a.y = y.mutable_data_ptr(), a.mean = mean.mutable_data_ptr(), a.rstd = rstd.mutable_data_ptr();
  const int64_t items = instance_norm_items(a);
  if (s.numel() > 0) parallel(items, s.numel() / items, [&](int64_t b, int64_t e) { instance_norm(a, b, e); });
  return {y, mean, rstd};
}

Three adain_backward(const Tensor& g_, const Tensor& x_, const Tensor& scale_, const Tensor& mean_, const Tensor& rstd_) {
  check_image("adain_backward", x_);
  check_same_shape("adain_backward", "g", g_, x_);
  const Tensor x = dense(x_), g = in_layout_of(x, g_);
  const Shape s = shape_of(x);
  const Tensor scale = checked_parameter("adain_backward", "scale", scale_, x, s.n * s.c);
  const Tensor mean = checked_parameter("adain_backward", "mean", mean_, x, s.n * s.c);
  const Tensor rstd = checked_parameter("adain_backward", "rstd", rstd_, x, s.n * s.c);
  Tensor dx = torch::stable::empty_like(x);
  Tensor dscale = empty_parameter(x, {s.n, s.c}), dshift = empty_parameter(x, {s.n, s.c});

  InstanceNormBackward b{};
  InstanceNorm& a = b.forward;
  a.dtype = dtype_of(x), a.layout = layout_of(x), a.shape = s, a.epilogue = false;
  a.block = channels_per_item(s, torch::stable::get_num_threads());
  a.x = x.const_data_ptr(), a.scale = scale.const_data_ptr();
  a.mean = mean.data_ptr(), a.rstd = rstd.data_ptr();
  b.g = g.const_data_ptr(), b.dx = dx.mutable_data_ptr();
  b.dscale = dscale.mutable_data_ptr(), b.dshift = dshift.mutable_data_ptr();
  const int64_t items = instance_norm_items(a);
  if (s.numel() > 0)
    parallel(items, s.numel() / items, [&](int64_t i, int64_t e) { instance_norm_backward(b, i, e); });
  return {dx, dscale, dshift};
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) {
  m.def("adain(Tensor x, Tensor scale, Tensor shift, float eps) -> (Tensor y, Tensor mean, Tensor rstd)");
  m.def(
      "adain_backward(Tensor g, Tensor x, Tensor scale, Tensor mean, Tensor rstd)"
      " -> (Tensor dx, Tensor dscale, Tensor dshift)");
}
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) {
  m.impl("adain", TORCH_BOX(&fastgan::adain));
  m.impl("adain_backward", TORCH_BOX(&fastgan::adain_backward));
}
