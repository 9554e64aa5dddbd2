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
  int64_t block;          // `pixels`: channels of a sample that an item covers, at most kMostChannels

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

constexpr int64_t kMostChannels = 512;

// As many as there are, since memory is then walked in order; fewer where samples do not feed every thread. What is
// computed does not depend on it.
inline int64_t channels_per_item(const Shape& s, int64_t threads) {
  const int64_t blocks = s.n % threads ? threads : 1, line = 32;
  const int64_t channels = ((s.c + blocks - 1) / blocks + line - 1) / line * line;
  return channels < kMostChannels ? channels : kMostChannels;
}

// An item is a plane, or a block of channels of a sample.
inline int64_t instance_norm_items(const InstanceNorm& a) {
  return a.shape.n * (a.layout == Layout::planes ? a.shape.c : (a.shape.c + a.block - 1) / a.block);
}

FASTGAN_KERNEL(instance_norm, InstanceNorm)
FASTGAN_KERNEL(instance_norm_backward, InstanceNormBackward)

}  // namespace fastgan
