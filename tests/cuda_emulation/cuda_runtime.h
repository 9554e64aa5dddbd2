// Stands in for CUDA's own header, so that csrc/cuda/*.cu compile with a C++ compiler and run, launches and all, on CPU
// tensors: each CUDA thread is a fiber, blocks run one after another. See emulation.cpp.
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
#define __shared__ static  // one block runs at a time

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  void* attrs;
  unsigned numAttrs;
};

inline const char* cudaGetErrorString(cudaError_t) {
  return "invalid configuration argument";
}

namespace emulation {
cudaError_t run(dim3 grid, dim3 block, const std::function<void()>& thread);
void wait_for_block();
// Puts down 16 bytes, waits for the whole warp, and gives the 16 bytes of lane ^ offset.
void exchange(const void* mine, void* theirs, size_t bytes, int offset);
}  // namespace emulation

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
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments... arguments) {
  return emulation::run(config->gridDim, config->blockDim, [=] { kernel(arguments...); });
}
