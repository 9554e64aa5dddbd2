// Flat loops over samples: the line between real and fake, and a scaled copy.
#pragma once

#include "kernel.h"

namespace fastgan {

struct Interpolate {
  DType dtype;
  int64_t sample;  // values a sample
  const void *real, *fake;
  const void* t;  // [N]
  void* out;

  int64_t neighbours() const { return sample; }
};
struct SquaredNorms {
  DType dtype;
  int64_t sample;
  const void* in;
  double* out;  // [items]: an item is a piece of kPiece values of a sample

  int64_t neighbours() const { return sample; }
};
struct Scale {
  DType dtype;
  int64_t sample;
  const void* in;
  const double* weight;  // [N]
  void* out;

  int64_t neighbours() const { return sample; }
};

// Samples are cut into pieces, so that a batch of one still uses every thread, and sums are short.
constexpr int64_t kPiece = 4096;
inline int64_t pieces(int64_t sample) { return (sample + kPiece - 1) / kPiece; }

FASTGAN_KERNEL(interpolate, Interpolate)     // out = real + t[n] * (fake - real)
FASTGAN_KERNEL(squared_norms, SquaredNorms)  // out[item] = sum of in^2 over the item's piece
FASTGAN_KERNEL(scale, Scale)                 // out = weight[n] * in

}  // namespace fastgan
