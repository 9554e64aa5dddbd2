#include <cmath>
#include <limits>

#include "check.h"
#include "cpu/penalty.h"

namespace fastgan {
namespace {

// Reads and writes small tensors of the accumulation type as doubles.
std::vector<double> values(const Tensor& t) {
  std::vector<double> v(t.numel());
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = t.scalar_type() == ScalarType::Double ? static_cast<const double*>(t.const_data_ptr())[i]
                                                 : static_cast<const float*>(t.const_data_ptr())[i];
  return v;
}
void put(Tensor& t, const std::vector<double>& v) {
  for (size_t i = 0; i < v.size(); ++i) {
    if (t.scalar_type() == ScalarType::Double) {
      static_cast<double*>(t.mutable_data_ptr())[i] = v[i];
    } else {
      static_cast<float*>(t.mutable_data_ptr())[i] = static_cast<float>(v[i]);
    }
  }
}

std::tuple<Tensor, Tensor> gradient_penalty(const Tensor& grad_, double center) {
  const Tensor grad = dense(grad_);
  const int64_t n = grad.size(0), sample = n > 0 ? grad.numel() / n : 0;
  Tensor penalty = empty_parameter(grad, {}), norms = empty_parameter(grad, {n});

  std::vector<double> squares(n * pieces(sample));
  SquaredNorms a{};
  a.dtype = dtype_of(grad), a.sample = sample, a.in = grad.const_data_ptr(), a.out = squares.data();
  if (sample > 0)
    parallel(squares.size(), sample / pieces(sample), [&](int64_t b, int64_t e) { squared_norms(a, b, e); });

  std::vector<double> norm(n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t p = 0; p < pieces(sample); ++p) norm[i] += squares[i * pieces(sample) + p];
    norm[i] = std::sqrt(norm[i]);
    total += (norm[i] - center) * (norm[i] - center);
  }
  put(norms, norm);
  put(penalty, {n > 0 ? total / n : std::numeric_limits<double>::quiet_NaN()});
  return {penalty, norms};
}

Tensor gradient_penalty_backward(const Tensor& g_, const Tensor& grad_, const Tensor& norms_, double center) {
  const Tensor grad = dense(grad_);
  const int64_t n = grad.size(0);
  const Tensor g = checked_parameter("gradient_penalty_backward", "g", g_, grad, 1);
  const Tensor norms = checked_parameter("gradient_penalty_backward", "norms", norms_, grad, n);
  Tensor out = torch::stable::empty_like(grad);
  if (grad.numel() == 0) return out;

  std::vector<double> weight = values(norms);
  for (double& w : weight) {
    const double toward = center == 0 ? 1 : w > 0 ? 1 - center / w : w == 0 ? 0 : w;  // NaN stays NaN
    w = values(g)[0] * 2 / n * toward;
  }
  Scale a{};
  a.dtype = dtype_of(grad), a.sample = grad.numel() / n, a.in = grad.const_data_ptr();
  a.weight = weight.data(), a.out = out.mutable_data_ptr();
  parallel(n * pieces(a.sample), a.sample / pieces(a.sample), [&](int64_t b, int64_t e) { scale(a, b, e); });
  return out;
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) {
  m.def("gradient_penalty(Tensor grad, float center) -> (Tensor penalty, Tensor norms)");
  m.def("gradient_penalty_backward(Tensor g, Tensor grad, Tensor norms, float center) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) {
  m.impl("gradient_penalty", TORCH_BOX(&fastgan::gradient_penalty));
  m.impl("gradient_penalty_backward", TORCH_BOX(&fastgan::gradient_penalty_backward));
}
