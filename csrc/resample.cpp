#include "cpu/resample.h"

#include "check.h"

namespace fastgan {
namespace {

// `x` and `out` as pictures (see cpu/resample.h).
Resample arguments(const Tensor& x, Tensor& out, double t0, double t1, double t2, double t3) {
  Resample a{};
  const bool planes = layout_of(x) == Layout::planes;
  a.dtype = dtype_of(x), a.images = planes ? x.size(0) * x.size(1) : x.size(0), a.step = planes ? 1 : x.size(1);
  a.in_h = x.size(2), a.in_w = x.size(3), a.out_h = out.size(2), a.out_w = out.size(3);
  a.taps[0] = t0, a.taps[1] = t1, a.taps[2] = t2, a.taps[3] = t3;
  a.in = x.const_data_ptr(), a.out = out.mutable_data_ptr();
  return a;
}

template <class Kernel>
void run(const Resample& shared, int64_t items, Kernel kernel) {
  const int64_t outside = shared.neighbours(), row = (2 * shared.in_w + shared.out_w) * shared.step;
  if (shared.images * shared.step * shared.out_h * shared.out_w == 0) return;
  const std::vector<double> zeros(outside);  // doubles fit every type
  parallel(items, row, [&](int64_t begin, int64_t end) {
    std::vector<double> scratch(resample_scratch(shared));
    Resample a = shared;
    a.zeros = zeros.data(), a.scratch = scratch.data();
    kernel(a, begin, end);
  });
}

Tensor upsample2x_(const Tensor& x_, double t0, double t1, double t2, double t3, int64_t height, int64_t width) {
  check_image("upsample2x", x_);
  const Tensor x = dense(x_);
  STD_TORCH_CHECK(height / 2 == x.size(2) && width / 2 == x.size(3),
                  "fastgan::upsample2x: the output's height and width must be twice the input's, or one more");
  Tensor y = empty_image(x, height, width);
  const Resample a = arguments(x, y, t0, t1, t2, t3);
  if (layout_of(x) == Layout::planes) run(a, planes_items(a), upsample_planes);
  else run(a, upsample_pixels_items(a), upsample_pixels);
  return y;
}

Tensor downsample2x_(const Tensor& x_, double t0, double t1, double t2, double t3) {
  check_image("downsample2x", x_);
  const Tensor x = dense(x_);
  Tensor y = empty_image(x, x.size(2) / 2, x.size(3) / 2);
  const Resample a = arguments(x, y, t0, t1, t2, t3);
  if (layout_of(x) == Layout::planes) run(a, planes_items(a), downsample_planes);
  else run(a, downsample_pixels_items(a), downsample_pixels);
  return y;
}

}  // namespace
}  // namespace fastgan

STABLE_TORCH_LIBRARY_FRAGMENT(fastgan, m) {
  m.def(
      "upsample2x(Tensor x, float t0, float t1, float t2, float t3, int height, int width) -> Tensor");
  m.def("downsample2x(Tensor x, float t0, float t1, float t2, float t3) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(fastgan, CPU, m) {
  m.impl("upsample2x", TORCH_BOX(&fastgan::upsample2x_));
  m.impl("downsample2x", TORCH_BOX(&fastgan::downsample2x_));
}
