// Instance normalisation with a style (adain), and with noise, bias and leaky ReLU before it (style_epilogue).
#pragma once

#include "kernel.h"

namespace fastgan {

struct InstanceNorm {
  DType dtype;
  Layout layout;
  Shape shape;
  bool epilogue;         // false: plain adain, without noise, strength, bias and slope
  const void* x;         // [N, C, H, W]
  const void* noise;     // [N or 1, 1, H, W], null for none
  int64_t noise_stride;  // elements from one sample's noise to the next: 0 when they share it
  const void *strength, *bias;  // [C]
  const void *scale, *shift;    // [N, C]
  double slope, eps;
  void* y;                // [N, C, H, W]
  void *mean, *rstd;      // [N, C]

  int64_t neighbours() const { return layout == Layout::planes ? shape.hw() : shape.c; }
};

struct InstanceNormBackward {
  InstanceNorm forward;  // its mean and rstd are read here, its shift, eps and y are not
  const void* g;         // [N, C, H, W] in x's layout
  void* dx;
  void *dscale, *dshift;    // [N, C]
  void *dstrength, *dbias;  // [N, C]: each sample's part

  int64_t neighbours() const { return forward.neighbours(); }
};

// Channels that one item of a channels_last sample covers: enough for whole cache lines.
constexpr int64_t kChannelBlock = 64;

// An item is a plane, or a block of channels of a sample.
inline int64_t instance_norm_items(const Shape& s, Layout layout) {
  return s.n * (layout == Layout::planes ? s.c : (s.c + kChannelBlock - 1) / kChannelBlock);
}

FASTGAN_KERNEL(instance_norm, InstanceNorm)
FASTGAN_KERNEL(instance_norm_backward, InstanceNormBackward)

}  // namespace fastgan
