// Bias, leaky ReLU and gain: the op, its gradient, and the gradient's gradient.
#pragma once

#include "kernel.h"

namespace fastgan {

struct BiasAct {
  DType dtype;
  Layout layout;
  Shape shape;
  const void* in;    // forward: x; backward: g; tangent: u. [N, C, H, W]
  const void* bias;  // forward: the bias; tangent: that of u; backward: none. [C]
  const void* y;     // backward and tangent: the forward's output, whose sign picks the slope
  double slope, gain;
  void* out;         // [N, C, H, W]
  void* sums;        // backward: [items, C] (pixels) or [N, C] (planes), parts of the bias's gradient

  int64_t neighbours() const { return layout == Layout::planes ? shape.hw() : shape.numel(); }
};

// An item is a plane, or a run of pixels of any samples.
constexpr int64_t kPixelRun = 256;
inline int64_t bias_act_items(const Shape& s, Layout layout) {
  return layout == Layout::planes ? s.n * s.c : (s.n * s.hw() + kPixelRun - 1) / kPixelRun;
}

FASTGAN_KERNEL(bias_act, BiasAct)           // out = gain * leaky_relu(in + bias)
FASTGAN_KERNEL(bias_act_backward, BiasAct)  // out = gain * m(y) * in, sums = sum of out
FASTGAN_KERNEL(bias_act_tangent, BiasAct)   // out = gain * m(y) * (in + bias)

}  // namespace fastgan
