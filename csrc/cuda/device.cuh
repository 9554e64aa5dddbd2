// What one kernel may take of the current device: shared memory and the size of a cluster. Asked once for each kernel
// and device, by calls that touch no stream: safe while a graph is captured.
#pragma once

#include "common.cuh"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace fastgan::cuda {

constexpr int MAX_CLUSTER = 16;  // 8 is portable; 16 is for the asking on every GPU with clusters so far

struct Limits {
  int64_t block_bytes;           // dynamic shared memory of a block, at most
  int64_t multiprocessor_bytes;  // shared memory of all blocks on a multiprocessor
  int64_t own_bytes;             // what every block takes besides its dynamic shared memory
  int cluster;                   // blocks of a cluster whose blocks all take block_bytes; 1 where there are no clusters
  int multiprocessors;

  // Dynamic shared memory of a block when so many share a multiprocessor.
  int64_t bytes(int sharing) const {
    return sharing == 1 ? block_bytes : std::min(block_bytes, multiprocessor_bytes / sharing - own_bytes);
  }
};

inline int attribute_of(int device, cudaDeviceAttr attribute) {
  int value = 0;
  const cudaError_t status = cudaDeviceGetAttribute(&value, attribute, device);
  STD_TORCH_CHECK(status == cudaSuccess, "fastgan: cannot ask the device: ", cudaGetErrorString(status));
  return value;
}

inline bool fits_cluster(const void* kernel, int threads, int64_t shared, int cluster) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(cluster));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  if (cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess) return clusters > 0;
  cudaGetLastError();  // a refusal is an answer, not an error for the next call to find
  return false;
}

inline Limits ask_limits(const void* kernel, int threads, int device) {
  constexpr int64_t RESERVED = 1024;  // of every block, by the system
  cudaFuncAttributes attributes{};
  const cudaError_t status = cudaFuncGetAttributes(&attributes, kernel);
  STD_TORCH_CHECK(status == cudaSuccess, "fastgan: cannot load a kernel: ", cudaGetErrorString(status));
  const int64_t declared = static_cast<int64_t>(attributes.sharedSizeBytes);
  Limits limits{};
  limits.block_bytes = attribute_of(device, cudaDevAttrMaxSharedMemoryPerBlockOptin) - declared;
  limits.multiprocessor_bytes = attribute_of(device, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  limits.own_bytes = declared + RESERVED;
  limits.multiprocessors = attribute_of(device, cudaDevAttrMultiProcessorCount);
  limits.cluster = 1;
  const auto allow = [&](cudaFuncAttribute what, int64_t value) {
    const bool allowed = cudaFuncSetAttribute(kernel, what, static_cast<int>(value)) == cudaSuccess;
    if (!allowed) cudaGetLastError();
    return allowed;
  };
  if (!allow(cudaFuncAttributeMaxDynamicSharedMemorySize, limits.block_bytes)) limits.block_bytes = 0;
  if (attribute_of(device, cudaDevAttrClusterLaunch) == 0) return limits;
  const bool beyond_portable = allow(cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  for (int cluster = beyond_portable ? MAX_CLUSTER : 8; cluster > 1; cluster /= 2) {
    if (!fits_cluster(kernel, threads, limits.block_bytes, cluster)) continue;
    limits.cluster = cluster;
    break;
  }
  return limits;
}

// For blocks of at most `threads`; the current device is the one that a Launcher has chosen.
template <typename... Parameters>
Limits limits_of(void (*kernel)(Parameters...), int threads) {
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, Limits> known;
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  STD_TORCH_CHECK(status == cudaSuccess, "fastgan: cannot ask the device: ", cudaGetErrorString(status));
  const std::lock_guard<std::mutex> lock(mutex);
  const std::pair<const void*, int> key{reinterpret_cast<const void*>(kernel), device};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known[key] = ask_limits(key.first, threads, device);
}

}  // namespace fastgan::cuda
