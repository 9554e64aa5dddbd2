// The devices that emulation.cpp can be, what launches took of them, and the runtime's answers about them. All are
// small, so that small planes reach every way to hold a plane.
#include "cuda_runtime.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>

namespace emulation {
namespace {

struct Device {
  int multiprocessors, shared_of_multiprocessor, shared_of_block, cluster;
};
constexpr int KB = 1024;
constexpr Device DEVICES[] = {
    {4, 144 * KB, 72 * KB, 16},  // clusters
    {1, 60 * KB, 72 * KB, 2},    // pairs: clusters of two, of blocks that fill a multiprocessor
    {4, 60 * KB, 20 * KB, 1},    // no clusters
};
int device = 0;
int64_t launches = 0, widest_cluster = 0, most_shared = 0;  // since a device was chosen

}  // namespace

unsigned cluster_of(const cudaLaunchConfig_t& config) {
  return config.numAttrs == 0 ? 1 : config.attrs[0].val.clusterDim.x;
}

bool fits_device(const cudaLaunchConfig_t& config) {
  const Device& d = DEVICES[device];
  const unsigned cluster = cluster_of(config);
  return cluster <= unsigned(d.cluster) && config.gridDim.x % cluster == 0 &&
         config.dynamicSmemBytes <= size_t(d.shared_of_block);
}

void count_launch(const cudaLaunchConfig_t& config) {
  ++launches;
  widest_cluster = std::max<int64_t>(widest_cluster, cluster_of(config));
  most_shared = std::max<int64_t>(most_shared, config.dynamicSmemBytes);
}

}  // namespace emulation

cudaError_t cudaGetDevice(int* device) {
  *device = emulation::device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const emulation::Device& d = emulation::DEVICES[device];
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = d.multiprocessors; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = d.shared_of_multiprocessor; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = d.shared_of_block; break;
    case cudaDevAttrClusterLaunch: *value = d.cluster > 1; break;
  }
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  attributes->sharedSizeBytes = 0;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void*, const cudaLaunchConfig_t* config) {
  *clusters = emulation::fits_device(*config);
  return cudaSuccess;
}

extern "C" {

void emulation_use_device(int index) {
  emulation::device = index;
  emulation::launches = emulation::widest_cluster = emulation::most_shared = 0;
}

void emulation_launches(int64_t numbers[3]) {
  numbers[0] = emulation::launches;
  numbers[1] = emulation::widest_cluster;
  numbers[2] = emulation::most_shared;
}

// CPU tensors have no stream and no device to make current.
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}

AOTITorchError aoti_torch_create_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = nullptr;
  return 0;
}

AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle) {
  return 0;
}
}
