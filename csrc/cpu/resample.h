// Blurred resampling by two, separable: a vertical blend of rows, then a horizontal one, both in registers.
#pragma once

#include "kernel.h"

namespace fastgan {

// `images` pictures of rows x columns x step values: [N, C, H, W] contiguous is N * C planes with step 1,
// channels_last is N pictures of pixels with step C.
struct Resample {
  DType dtype;
  int64_t images, step;
  int64_t in_h, in_w, out_h, out_w;
  double taps[4];
  const void* in;
  void* out;
  const void* zeros;  // neighbours() zeros: what lies outside of a picture
  void* scratch;      // resample_scratch() values of the accumulation type for the calling thread

  int64_t neighbours() const { return step == 1 ? in_w : step; }
};

// One pixel, in whole vectors of any instruction set.
inline int64_t resample_scratch(const Resample& a) { return a.step + 64; }
// An item is two output rows of a plane; of pixels, upsampled rows 2i - 1 and 2i, or downsampled rows 2i and 2i + 1.
inline int64_t planes_items(const Resample& a) { return a.images * ((a.out_h + 1) / 2); }
inline int64_t upsample_pixels_items(const Resample& a) { return a.images * (a.in_h + 1); }
inline int64_t downsample_pixels_items(const Resample& a) { return a.images * ((a.out_h + 1) / 2); }

// y[2i] = t1 x[i] + t3 x[i-1],  y[2i+1] = t2 x[i] + t0 x[i+1]  on each axis
FASTGAN_KERNEL(upsample_planes, Resample)
FASTGAN_KERNEL(upsample_pixels, Resample)
// y[i] = t0 x[2i-1] + t1 x[2i] + t2 x[2i+1] + t3 x[2i+2]  on each axis
FASTGAN_KERNEL(downsample_planes, Resample)
FASTGAN_KERNEL(downsample_pixels, Resample)

}  // namespace fastgan
