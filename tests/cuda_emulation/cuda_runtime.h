// Stands in for CUDA's own header, so that csrc/cuda/*.cu compile with a C++ compiler and run, launches and all, on CPU
// tensors: each CUDA thread is a fiber, blocks run one after another, or in turns where they form a cluster. See
// emulation.cpp.
#pragma once

#include <torch/csrc/stable/library.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

// The ops register beside the real ones, for CPU tensors.
#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(ns, k, m) _STABLE_TORCH_LIBRARY_IMPL(fastgan_emulated, CPU, m, C10_UID)

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local  // blocks that live at the same time have a CPU thread each
#define FASTGAN_DYNAMIC_SHARED(name) void* const name = emulation::dynamic_shared()

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern __thread dim3 threadIdx, blockIdx, blockDim, gridDim;

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension = 4 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    struct {
      unsigned x, y, z;
    } clusterDim;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor,
  cudaDevAttrMaxSharedMemoryPerBlockOptin,
  cudaDevAttrClusterLaunch
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize, cudaFuncAttributeNonPortableClusterSizeAllowed };
struct cudaFuncAttributes {
  size_t sharedSizeBytes;
};

namespace emulation {
cudaError_t run(const cudaLaunchConfig_t& config, const std::function<void()>& thread);
void wait_for_block();
// Puts down 16 bytes, waits for the whole warp, and gives the 16 bytes of lane ^ offset.
void exchange(const void* mine, void* theirs, size_t bytes, int offset);
void* dynamic_shared();
unsigned cluster_of(const cudaLaunchConfig_t& config);
bool fits_device(const cudaLaunchConfig_t& config);
void count_launch(const cudaLaunchConfig_t& config);
}  // namespace emulation

cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel);
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute what, int value);
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* kernel, const cudaLaunchConfig_t* config);

inline cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

inline const char* cudaGetErrorString(cudaError_t) {
  return "invalid configuration argument";
}

inline void __syncthreads() {
  emulation::wait_for_block();
}

template <typename T>
T __shfl_xor_sync(unsigned, T value, int offset) {
  T other;
  emulation::exchange(&value, &other, sizeof(T), offset);
  return other;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
  return emulation::run(*config, [=] { kernel(arguments...); });
}
