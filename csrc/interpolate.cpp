#include "check.h"
#include "cpu/penalty.h"

namespace fastgan {
namespace {

Tensor interpolate_(const Tensor& real_, const Tensor& fake_, const Tensor& t_) {
  check_same_shape("interpolate", "fake", fake_, real_);
  const Tensor real = dense(real_), fake = in_layout_of(real, fake_);
  const Tensor t = checked_parameter("interpolate", "t", t_, real, real.size(0));
  Tensor out = torch::stable::empty_like(real);
  if (real.numel() == 0) return out;
  Interpolate a{};
  a.dtype = dtype_of(real), a.sample = real.numel() / real.size(0);
  a.real = real.const_data_ptr(), a.fake = fake.const_data_ptr(), a.t = t.const_data_ptr();
  a.out = out.mutable_data_ptr();
  parallel(real.size(0) * pieces(a.sample), a.sample / pieces(a.sample),
           [&](int64_t b, int64_t e) { interpolate(a, b, e); });
  return out;
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) { m.def("interpolate(Tensor real, Tensor fake, Tensor t) -> Tensor"); }
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) { m.impl("interpolate", TORCH_BOX(&fastgan::interpolate_)); }
