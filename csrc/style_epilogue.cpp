#include "check.h"
#include "cpu/instance_norm.h"

namespace fastgan {
namespace {

// Noise as the kernels read it: [N or 1, 1, H, W], contiguous.
struct Noise {
  std::optional<Tensor> values;

  Noise(const char* op, const std::optional<Tensor>& noise, const Tensor& x) {
    if (!noise) return;
    STD_TORCH_CHECK(noise->dim() == 4 && (noise->size(0) == 1 || noise->size(0) == x.size(0)) && noise->size(1) == 1 &&
                        noise->size(2) == x.size(2) && noise->size(3) == x.size(3) &&
                        noise->scalar_type() == x.scalar_type(),
                    "fastgan::", op, ": noise must be [N or 1, 1, H, W] in x's dtype");
    values = torch::stable::contiguous(*noise);
  }
  void give_to(InstanceNorm& a) const {
    if (!values) return;
    a.noise = values->const_data_ptr();
    a.noise_stride = values->size(0) == 1 ? 0 : a.shape.hw();
  }
};

std::tuple<Tensor, Tensor, Tensor> style_epilogue(const Tensor& x_, const std::optional<Tensor>& noise_,
                                                  const Tensor& strength_, const Tensor& bias_, const Tensor& scale_,
                                                  const Tensor& shift_, double slope, double eps) {
  constexpr const char* op = "style_epilogue";
  check_image(op, x_);
  const Tensor x = dense(x_);
  const Shape s = shape_of(x);
  const Noise noise(op, noise_, x);
  const Tensor strength = checked_parameter(op, "strength", strength_, x, s.c);
  const Tensor bias = checked_parameter(op, "bias", bias_, x, s.c);
  const Tensor scale = checked_parameter(op, "scale", scale_, x, s.n * s.c);
  const Tensor shift = checked_parameter(op, "shift", shift_, x, s.n * s.c);
  Tensor y = torch::stable::empty_like(x);
  Tensor mean = empty_parameter(x, {s.n, s.c}), rstd = empty_parameter(x, {s.n, s.c});

  InstanceNorm a{};
  a.dtype = dtype_of(x), a.layout = layout_of(x), a.shape = s, a.epilogue = true;
  a.block = channels_per_item(s, torch::stable::get_num_threads());
  a.x = x.const_data_ptr(), a.strength = strength.const_data_ptr(), a.bias = bias.const_data_ptr();
  a.scale = scale.const_data_ptr(), a.shift = shift.const_data_ptr(), a.slope = slope, a.eps = eps;
  a.y = y.mutable_data_ptr(), a.mean = mean.mutable_data_ptr(), a.rstd = rstd.mutable_data_ptr();
  noise.give_to(a);
  const int64_t items = instance_norm_items(a);
  if (s.numel() > 0) parallel(items, s.numel() / items, [&](int64_t b, int64_t e) { instance_norm(a, b, e); });
  return {y, mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> style_epilogue_backward(
    const Tensor& g_, const Tensor& x_, const std::optional<Tensor>& noise_, const Tensor& strength_,
    const Tensor& bias_, const Tensor& scale_, const Tensor& mean_, const Tensor& rstd_, double slope) {
  constexpr const char* op = "style_epilogue_backward";
  check_image(op, x_);
  check_same_shape(op, "g", g_, x_);
  const Tensor x = dense(x_), g = in_layout_of(x, g_);
  const Shape s = shape_of(x);
  const Noise noise(op, noise_, x);
  const Tensor strength = checked_parameter(op, "strength", strength_, x, s.c);
  const Tensor bias = checked_parameter(op, "bias", bias_, x, s.c);
  const Tensor scale = checked_parameter(op, "scale", scale_, x, s.n * s.c);
  const Tensor mean = checked_parameter(op, "mean", mean_, x, s.n * s.c);
  const Tensor rstd = checked_parameter(op, "rstd", rstd_, x, s.n * s.c);
  Tensor dx = torch::stable::empty_like(x);
  Tensor dscale = empty_parameter(x, {s.n, s.c}), dshift = empty_parameter(x, {s.n, s.c});
  Tensor strength_parts = empty_parameter(x, {s.n, s.c}), bias_parts = empty_parameter(x, {s.n, s.c});

  InstanceNormBackward b{};
  InstanceNorm& a = b.forward;
  a.dtype = dtype_of(x), a.layout = layout_of(x), a.shape = s, a.epilogue = true;
  a.block = channels_per_item(s, torch::stable::get_num_threads());
  a.x = x.const_data_ptr(), a.strength = strength.const_data_ptr(), a.bias = bias.const_data_ptr();
  a.scale = scale.const_data_ptr(), a.slope = slope, a.mean = mean.data_ptr(), a.rstd = rstd.data_ptr();
  noise.give_to(a);
  b.g = g.const_data_ptr(), b.dx = dx.mutable_data_ptr();
  b.dscale = dscale.mutable_data_ptr(), b.dshift = dshift.mutable_data_ptr();
  b.dstrength = strength_parts.mutable_data_ptr(), b.dbias = bias_parts.mutable_data_ptr();
  const int64_t items = instance_norm_items(a);
  if (s.numel() > 0)
    parallel(items, s.numel() / items, [&](int64_t i, int64_t e) { instance_norm_backward(b, i, e); });
  return {dx, sum_rows(strength_parts, s.n, s.c), sum_rows(bias_parts, s.n, s.c), dscale, dshift};
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) {
  m.def(
      "style_epilogue(Tensor x, Tensor? noise, Tensor strength, Tensor bias, Tensor scale, Tensor shift, float slope,"
      " float eps) -> (Tensor y, Tensor mean, Tensor rstd)");
  m.def(
      "style_epilogue_backward(Tensor g, Tensor x, Tensor? noise, Tensor strength, Tensor bias, Tensor scale,"
      " Tensor mean, Tensor rstd, float slope)"
      " -> (Tensor dx, Tensor dstrength, Tensor dbias, Tensor dscale, Tensor dshift)");
}
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) {
  m.impl("style_epilogue", TORCH_BOX(&fastgan::style_epilogue));
  m.impl("style_epilogue_backward", TORCH_BOX(&fastgan::style_epilogue_backward));
}
