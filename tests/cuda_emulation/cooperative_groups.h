// Stands in for CUDA's header of the same name: the part of it that csrc/cuda uses.
#pragma once

#define _CG_HAS_CLUSTER_GROUP

namespace emulation {
void cluster_arrive();
void cluster_wait();
void* in_block(void* mine, int rank);  // the same static shared variable in another block of the cluster
}  // namespace emulation

namespace cooperative_groups {

struct cluster_group {
  void barrier_arrive() const { emulation::cluster_arrive(); }
  void barrier_wait() const { emulation::cluster_wait(); }
  template <typename T>
  T* map_shared_rank(T* mine, int rank) const {
    return static_cast<T*>(emulation::in_block(mine, rank));
  }
};

inline cluster_group this_cluster() {
  return {};
}

}  // namespace cooperative_groups
