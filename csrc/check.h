// What every CPU op needs of torch: argument checks with one clear message each, dtype and layout of a tensor,
// outputs like an input, and work in parallel. Written on the stable ABI, so that one build serves torch >= 2.10.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <optional>
#include <tuple>
#include <vector>

#include "cpu/kernel.h"

namespace fastgan {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline DType dtype_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return DType::f32;
    case ScalarType::Double: return DType::f64;
    case ScalarType::BFloat16: return DType::bf16;
    case ScalarType::Half: return DType::f16;
    default: STD_TORCH_CHECK(false, "fastgan: a tensor must be float32, bfloat16, float16 or float64");
  }
}

inline ScalarType accumulation(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline Shape shape_of(const Tensor& x) { return {x.size(0), x.size(1), x.size(2), x.size(3)}; }

// Whether a pixel's channels are neighbours and pixels follow each other; sizes of 1 have no stride to check.
inline bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4) return false;
  const int64_t order[4] = {1, 3, 2, 0};
  int64_t expected = 1;
  for (const int64_t d : order) {
    if (x.size(d) != 1 && x.stride(d) != expected) return false;
    expected *= x.size(d);
  }
  return true;
}

inline Layout layout_of(const Tensor& x) { return x.is_contiguous() ? Layout::planes : Layout::pixels; }

// `x` itself where its layout is one of ours, else a contiguous copy.
inline Tensor dense(const Tensor& x) {
  return x.is_contiguous() || is_channels_last(x) ? x : torch::stable::contiguous(x);
}

// `g` in the very layout of the dense tensor `x`; copied only where it differs.
inline Tensor in_layout_of(const Tensor& x, const Tensor& g) {
  if (x.is_contiguous()) return torch::stable::contiguous(g);
  return is_channels_last(g) ? g : torch::stable::contiguous(g, MemoryFormat::ChannelsLast);
}

inline Tensor empty_image(const Tensor& like, int64_t h, int64_t w) {
  const int64_t sizes[4] = {like.size(0), like.size(1), h, w};
  const auto format = like.is_contiguous() ? MemoryFormat::Contiguous : MemoryFormat::ChannelsLast;
  return torch::stable::empty({sizes, 4}, like.scalar_type(), std::nullopt, like.device(), std::nullopt, format);
}

inline Tensor empty_parameter(const Tensor& like, std::initializer_list<int64_t> sizes) {
  return torch::stable::new_empty(like, {sizes.begin(), sizes.size()}, accumulation(like));
}

inline void check_image(const char* op, const Tensor& x) {
  dtype_of(x);
  STD_TORCH_CHECK(x.dim() == 4, "fastgan::", op, ": x must be [N, C, H, W], but has ", x.dim(), " dimensions");
}
inline void check_same_shape(const char* op, const char* name, const Tensor& a, const Tensor& b) {
  bool same = a.dim() == b.dim() && a.scalar_type() == b.scalar_type();
  for (int64_t d = 0; same && d < a.dim(); ++d) same = a.size(d) == b.size(d);
  STD_TORCH_CHECK(same, "fastgan::", op, ": ", name, " must have the shape and dtype of its companion");
}
inline Tensor checked_parameter(const char* op, const char* name, const Tensor& p, const Tensor& x, int64_t numel) {
  STD_TORCH_CHECK(p.scalar_type() == accumulation(x) && p.numel() == numel, "fastgan::", op, ": ", name, " must hold ",
                  numel, " values of float32 (float64 for float64 x)");
  return torch::stable::contiguous(p);
}

// Splits `items` of about `cost` values each over torch's threads; f(begin, end).
template <class F>
void parallel(int64_t items, int64_t cost, const F& f) {
  constexpr int64_t kWorthAThread = 32768;
  if (items > 0) torch::stable::parallel_for(0, items, (kWorthAThread + cost - 1) / (cost > 0 ? cost : 1), f);
}

// Sum of `rows` rows of `columns` values, in double.
inline Tensor sum_rows(const Tensor& parts, int64_t rows, int64_t columns) {
  Tensor out = torch::stable::new_empty(parts, {&columns, 1});
  const auto add = [&](auto* to, const auto* from) {
    std::vector<double> total(columns, 0.0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) total[c] += from[r * columns + c];
    for (int64_t c = 0; c < columns; ++c) to[c] = total[c];
  };
  if (parts.scalar_type() == ScalarType::Double) {
    add(static_cast<double*>(out.mutable_data_ptr()), static_cast<const double*>(parts.const_data_ptr()));
  } else {
    add(static_cast<float*>(out.mutable_data_ptr()), static_cast<const float*>(parts.const_data_ptr()));
  }
  return out;
}

}  // namespace fastgan
