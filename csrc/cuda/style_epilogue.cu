// style_epilogue: adain(leaky_relu(x + strength * noise + bias), scale, shift), the whole tail of a StyleGAN layer
// (Karras et al. 2019, figure 1b), in one pass over x.
#include "instance_norm.cuh"

namespace fastgan::cuda {
namespace {

std::tuple<Tensor, Tensor, Tensor> style_epilogue_cuda(const Tensor& x, const std::optional<Tensor>& noise,
                                                       const Tensor& strength, const Tensor& bias, const Tensor& scale,
                                                       const Tensor& shift, double slope, double eps) {
  const Style style{noise, strength, bias, slope};
  return instance_norm<true>(x, &style, scale, shift, eps);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> style_epilogue_backward_cuda(
    const Tensor& g, const Tensor& x, const std::optional<Tensor>& noise, const Tensor& strength, const Tensor& bias,
    const Tensor& scale, const Tensor& mean, const Tensor& rstd, double slope) {
  const Style style{noise, strength, bias, slope};
  const auto d = instance_norm_backward<true>(g, x, &style, scale, mean, rstd);
  return {d.dx, d.dstrength, d.dbias, d.dscale, d.dshift};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("style_epilogue", TORCH_BOX(&style_epilogue_cuda));
  m.impl("style_epilogue_backward", TORCH_BOX(&style_epilogue_backward_cuda));
}

}  // namespace fastgan::cuda
