// Blocks that work together: the meeting points of a thread-block cluster (compute capability 9.0 and later), and
// values passed from block to block through shared memory. Elsewhere a cluster is one block, and none of this is
// reached.
#pragma once

#include "device.cuh"
#include "tile.cuh"

#include <cooperative_groups.h>

namespace fastgan::cuda {

// A meeting in two halves: who has waited knows that every thread of the cluster has arrived.
__device__ __forceinline__ void cluster_arrive() {
#ifdef _CG_HAS_CLUSTER_GROUP
  cooperative_groups::this_cluster().barrier_arrive();
#endif
}

__device__ __forceinline__ void cluster_wait() {
#ifdef _CG_HAS_CLUSTER_GROUP
  cooperative_groups::this_cluster().barrier_wait();
#endif
}

// Where the block of that rank has what this block has at `mine`, in shared memory.
template <typename A>
__device__ __forceinline__ A* in_block(A* mine, int rank) {
#ifdef _CG_HAS_CLUSTER_GROUP
  return cooperative_groups::this_cluster().map_shared_rank(mine, rank);
#else
  return mine;
#endif
}

template <typename A>
struct Gathered {  // one thread's values in each block of a cluster
  const A* values;
  int stride;
  __device__ const A* of(int rank) const { return values + rank * stride; }
};

// Gives each thread the K values that its team's members hold (all the same ones) in every block of the cluster: those
// of rank q are result.of(q). They are written into the others' memory rather than read from it, so that one
// meeting does: afterwards nobody touches the memory of a block that may have ended. Every block must have begun: all
// threads have called cluster_arrive() before, and wait for that here. Once a kernel.
template <Layout LAYOUT, int K, typename A, typename TileT>
__device__ __forceinline__ Gathered<A> cluster_gather(const A (&value)[K], const TileT& tile, int blocks) {
  constexpr int LANES = LAYOUT == Layout::channels_last ? MAX_ROW_LANES : 1;
  __shared__ A table[MAX_CLUSTER * LANES * K];
  const int lanes = LAYOUT == Layout::channels_last ? blockDim.x : 1;
  const int lane = LAYOUT == Layout::channels_last ? threadIdx.x : 0;
  cluster_wait();
  for (int rank = tile.member; rank < blocks; rank += tile.members) {
    A* theirs = in_block(table, rank) + (tile.chunk * lanes + lane) * K;
#pragma unroll
    for (int k = 0; k < K; ++k) theirs[k] = value[k];
  }
  cluster_arrive();
  cluster_wait();
  return {table + lane * K, lanes * K};
}

}  // namespace fastgan::cuda
