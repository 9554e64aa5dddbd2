#include "cpu/bias_act.h"

#include "check.h"

namespace fastgan {
namespace {

BiasAct arguments(const Tensor& in, double slope, double gain, Tensor& out) {
  BiasAct a{};
  a.dtype = dtype_of(in), a.layout = layout_of(in), a.shape = shape_of(in);
  a.in = in.const_data_ptr(), a.slope = slope, a.gain = gain, a.out = out.mutable_data_ptr();
  return a;
}

template <class Kernel>
void run(const BiasAct& a, Kernel kernel) {
  const int64_t items = bias_act_items(a.shape, a.layout);
  if (a.shape.numel() > 0)
    parallel(items, a.shape.numel() / items, [&](int64_t b, int64_t e) { kernel(a, b, e); });
}

Tensor bias_act_(const Tensor& x_, const Tensor& bias_, double slope, double gain) {
  check_image("bias_act", x_);
  const Tensor x = dense(x_);
  const Tensor bias = checked_parameter("bias_act", "bias", bias_, x, x.size(1));
  Tensor y = torch::stable::empty_like(x);
  BiasAct a = arguments(x, slope, gain, y);
  a.bias = bias.const_data_ptr();
  run(a, bias_act);
  return y;
}

std::tuple<Tensor, Tensor> bias_act_backward_(const Tensor& g_, const Tensor& y_, double slope, double gain) {
  check_image("bias_act_backward", y_);
  check_same_shape("bias_act_backward", "g", g_, y_);
  const Tensor y = dense(y_), g = in_layout_of(y, g_);
  Tensor dx = torch::stable::empty_like(y);
  BiasAct a = arguments(g, slope, gain, dx);
  a.layout = layout_of(y);
  const int64_t rows = a.layout == Layout::planes ? a.shape.n : bias_act_items(a.shape, a.layout);
  Tensor parts = empty_parameter(y, {rows, a.shape.c});
  a.y = y.const_data_ptr(), a.sums = parts.mutable_data_ptr();
  run(a, bias_act_backward);
  return {dx, sum_rows(parts, a.shape.numel() > 0 ? rows : 0, a.shape.c)};
}

Tensor bias_act_tangent_(const Tensor& u_, const Tensor& bias_, const Tensor& y_, double slope, double gain) {
  check_image("bias_act_tangent", y_);
  check_same_shape("bias_act_tangent", "u", u_, y_);
  const Tensor y = dense(y_), u = in_layout_of(y, u_);
  const Tensor bias = checked_parameter("bias_act_tangent", "ubias", bias_, y, y.size(1));
  Tensor out = torch::stable::empty_like(y);
  BiasAct a = arguments(u, slope, gain, out);
  a.layout = layout_of(y), a.bias = bias.const_data_ptr(), a.y = y.const_data_ptr();
  run(a, bias_act_tangent);
  return out;
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) {
  m.def("bias_act(Tensor x, Tensor bias, float slope, float gain) -> Tensor");
  m.def("bias_act_backward(Tensor g, Tensor y, float slope, float gain) -> (Tensor dx, Tensor dbias)");
  m.def("bias_act_tangent(Tensor u, Tensor ubias, Tensor y, float slope, float gain) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&fastgan::bias_act_));
  m.impl("bias_act_backward", TORCH_BOX(&fastgan::bias_act_backward_));
  m.impl("bias_act_tangent", TORCH_BOX(&fastgan::bias_act_tangent_));
}
