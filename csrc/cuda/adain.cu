// adain: y = (1 + scale) * (x - mean) * rstd + shift, over each plane of x [N, C, H, W] (Huang & Belongie 2017, eq. 8).
#include "instance_norm.cuh"

namespace fastgan::cuda {
namespace {

std::tuple<Tensor, Tensor, Tensor> adain_cuda(const Tensor& x, const Tensor& scale, const Tensor& shift, double eps) {
  return instance_norm<false>(x, nullptr, scale, shift, eps);
}

std::tuple<Tensor, Tensor, Tensor> adain_backward_cuda(const Tensor& g, const Tensor& x, const Tensor& scale,
                                                       const Tensor& mean, const Tensor& rstd) {
  const auto d = instance_norm_backward<false>(g, x, nullptr, scale, mean, rstd);
  return {d.dx, d.dscale, d.dshift};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("adain", TORCH_BOX(&adain_cuda));
  m.impl("adain_backward", TORCH_BOX(&adain_backward_cuda));
}

}  // namespace fastgan::cuda
