// Blurred resampling by two, separable: a vertical pass into one row of scratch, a horizontal pass out of it.
#pragma once

#include "kernel.h"

namespace fastgan {

// A tensor is `images` pictures of rows x columns x step values: [N, C, H, W] contiguous is N * C pictures with
// step 1, channels_last is N pictures with step C. Rows are then alike in both layouts.
struct Resample {
  DType dtype;
  int64_t images, step;
  int64_t in_h, in_w, out_h, out_w;
  double taps[4];
  const void* in;
  void* out;
  void* scratch;  // resample_scratch() values of the accumulation type for the calling thread

  int64_t neighbours() const { return step == 1 ? in_w : step; }
};

// One row of scratch with a pixel of zeros before and two after it.
inline int64_t resample_scratch(const Resample& a) { return (a.in_w + 3) * a.step; }
// An item is one output row.
inline int64_t resample_items(const Resample& a) { return a.images * a.out_h; }

FASTGAN_KERNEL(upsample2x, Resample)    // y[2i] = t1 x[i] + t3 x[i-1],  y[2i+1] = t2 x[i] + t0 x[i+1]  on each axis
FASTGAN_KERNEL(downsample2x, Resample)  // y[i] = t0 x[2i-1] + t1 x[2i] + t2 x[2i+1] + t3 x[2i+2]      on each axis

}  // namespace fastgan
