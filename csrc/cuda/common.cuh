// What every CUDA unit shares: tensors seen as memory, dtype dispatch, vector loads, kernel launches.
//
// Built on the libtorch stable ABI (2.10 and later); includes no ATen header, so one binary serves many torch versions.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Exception.h>
#include <torch/headeronly/util/Half.h>
#include <torch/headeronly/util/shim_utils.h>

#include <cstdint>
#include <type_traits>
#include <vector>

namespace fastgan::cuda {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// ---------------------------------------------------------------- dtypes

// Arithmetic and statistics run in this type whatever the storage type: float, or double for double.
template <typename T>
using acc_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

inline ScalarType acc_dtype(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Calls body(T{}) with the storage type of x.
template <typename Body>
void dispatch_dtype(const Tensor& x, Body body) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return body(float{});
    case ScalarType::Half: return body(c10::Half{});
    case ScalarType::BFloat16: return body(c10::BFloat16{});
    case ScalarType::Double: return body(double{});
    default: STD_TORCH_CHECK(false, "fastgan: expected float32, float16, bfloat16 or float64");
  }
}

// ---------------------------------------------------------------- vectors

// V neighbours in memory, moved by one instruction when they fill 16 bytes.
template <typename T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Vec {
  T value[V];
};

// Vector width for a 16-byte access. float64 is there for gradient checks and takes the scalar path only.
template <typename T>
constexpr int WIDTH = std::is_same_v<T, double> ? 1 : 16 / int(sizeof(T));

template <int V, typename T>
__device__ __forceinline__ void load(acc_t<T> (&out)[V], const T* from) {
  const Vec<T, V> raw = *reinterpret_cast<const Vec<T, V>*>(from);
#pragma unroll
  for (int v = 0; v < V; ++v) out[v] = static_cast<acc_t<T>>(raw.value[v]);
}

template <int V, typename T>
__device__ __forceinline__ void store(T* to, const acc_t<T> (&in)[V]) {
  Vec<T, V> raw;
#pragma unroll
  for (int v = 0; v < V; ++v) raw.value[v] = static_cast<T>(in[v]);
  *reinterpret_cast<Vec<T, V>*>(to) = raw;
}

// Whether every pointer lies on a 16-byte boundary (null does).
template <typename... Pointers>
bool aligned(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

// ---------------------------------------------------------------- memory layout

// ragged: contiguous, but planes do not all start and end on the boundaries of vectors. Only kernels know it.
enum class Layout { contiguous, channels_last, ragged };

struct Shape {  // of x [images, channels, height, width]
  int64_t images, channels, height, width;
  __host__ __device__ int64_t pixels() const { return height * width; }
};

inline Shape shape_of(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 4, "fastgan: expected a tensor [N, C, H, W]");
  return {x.size(0), x.size(1), x.size(2), x.size(3)};
}

inline bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4) return false;
  int64_t expected = 1;
  for (int d : {1, 3, 2, 0}) {
    if (x.size(d) != 1 && x.stride(d) != expected) return false;
    expected *= x.size(d);
  }
  return true;
}

// Where both fit (one channel, or one pixel) the answer is contiguous, as it is for torch's suggest_memory_format.
inline Layout layout_of(const Tensor& x) {
  if (x.is_contiguous()) return Layout::contiguous;
  STD_TORCH_CHECK(is_channels_last(x), "fastgan: expected a contiguous or channels_last tensor");
  return Layout::channels_last;
}

// x itself when it starts on a 16-byte boundary, else a copy in its layout, which does: an odd slice of a larger tensor
// is not worth a kernel of its own.
inline Tensor on_boundary(const Tensor& x) {
  if (aligned(x.const_data_ptr())) return x;
  Tensor copy = torch::stable::empty_like(x);
  torch::stable::copy_(copy, x);
  return copy;
}

// x itself when its layout is one of the two, else a contiguous copy.
inline Tensor dense(const Tensor& x) {
  return on_boundary(x.is_contiguous() || is_channels_last(x) ? x : torch::stable::contiguous(x));
}

// g itself when its memory is ordered as x's is, else a copy that is.
inline Tensor ordered_like(const Tensor& g, const Tensor& x) {
  STD_TORCH_CHECK(g.dim() == x.dim() && g.scalar_type() == x.scalar_type() && g.device() == x.device(),
                  "fastgan: expected a gradient of the input's shape, dtype and device");
  for (int64_t d = 0; d < x.dim(); ++d) {
    STD_TORCH_CHECK(g.size(d) == x.size(d), "fastgan: expected a gradient of the input's shape, dtype and device");
  }
  if (layout_of(x) == Layout::contiguous ? g.is_contiguous() : is_channels_last(g)) return on_boundary(g);
  Tensor copy = torch::stable::empty_like(x);
  torch::stable::copy_(copy, g);
  return copy;
}

// Memory of a small dense operand (per-channel or per-sample values) after the checks that keep a raw call in bounds.
template <typename T>
const T* operand(const Tensor& tensor, int64_t numel, const Tensor& x, ScalarType dtype) {
  STD_TORCH_CHECK(tensor.scalar_type() == dtype && tensor.device() == x.device() && tensor.is_contiguous() &&
                      tensor.numel() == numel,
                  "fastgan: an operand has the wrong dtype, device, strides or number of elements");
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename T>
const T* input(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename T>
T* output(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

inline Tensor new_empty(const Tensor& like, const std::vector<int64_t>& sizes, ScalarType dtype) {
  return torch::stable::new_empty(like, torch::headeronly::IntHeaderOnlyArrayRef(sizes.data(), sizes.size()), dtype);
}

// ---------------------------------------------------------------- launches

constexpr int64_t MAX_GRID = 2147483647;  // blocks along x

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// A tensor's device made current, and torch's current stream there: launches join whatever graph is being captured.
class Launcher {
 public:
  explicit Launcher(const Tensor& x) : guard_(x.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t grid, dim3 block, Arguments... arguments) const {
    clustered(kernel, grid, block, 1, 0, arguments...);
  }

  // Every `cluster` blocks in a row may read and write each other's shared memory; a block has `shared` dynamic bytes.
  template <typename... Parameters, typename... Arguments>
  void clustered(void (*kernel)(Parameters...), int64_t grid, dim3 block, int64_t cluster, int64_t shared,
                 Arguments... arguments) const {
    if (grid == 0) return;
    STD_TORCH_CHECK(grid <= MAX_GRID, "fastgan: the tensor is too large for one launch");
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(grid));
    config.blockDim = block;
    config.dynamicSmemBytes = static_cast<size_t>(shared);
    config.stream = stream_;
    config.attrs = &attribute;
    config.numAttrs = cluster > 1 ? 1 : 0;
    const cudaError_t status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
    STD_TORCH_CHECK(status == cudaSuccess, "fastgan: CUDA launch failed: ", cudaGetErrorString(status));
  }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace fastgan::cuda
