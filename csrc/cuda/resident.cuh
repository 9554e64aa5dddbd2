// Planes that stay on the chip between two passes over them, so that global memory is read once.
//
// Of each tensor a thread keeps its first round in registers and every later one in slots of shared memory that no
// other thread touches: no barrier, and no bank conflict, since neighbours hold neighbouring slots. A plane too large
// for one block is shared out to the blocks of a cluster.
//
//   What it takes to fill the memory bus (H100): 3.35 TB/s x 0.7 us of latency are 2.3 MB in flight, 18 KB for each of
//   132 multiprocessors. All copies of a block are started before the first is used, so that one block of 64 KB has 64
//   KB in flight; but a block loads, then computes, then stores. Two or three blocks a multiprocessor keep the bus busy
//   through all three phases, so a plane gets the smallest cluster whose blocks leave room for others, and blocks that
//   fill a multiprocessor alone only where nothing smaller holds it.
#pragma once

#include "cluster.cuh"

#include <cuda_pipeline_primitives.h>
#include <optional>

// The emulation test has a definition of its own.
#ifndef FASTGAN_DYNAMIC_SHARED
#define FASTGAN_DYNAMIC_SHARED(name) extern __shared__ uint4 name[]
#endif

namespace fastgan::cuda {

// Vectors of each tensor that a thread takes at once, which is what it keeps in registers: 64 bytes in all, and half as
// much where two tensors and the sums of 8 channels would be more than there is.
template <Layout LAYOUT, typename T, int V, int TENSORS>
constexpr int RESIDENT_ITEMS = (V > 1 ? 4 : 64 / int(sizeof(acc_t<T>))) / TENSORS /
                               (LAYOUT == Layout::channels_last && V == 8 && TENSORS == 2 ? 2 : 1);

// Blocks of so many threads that stand on a multiprocessor together, as far as registers go: sums for each channel of a
// vector take many, and so do the tests of what a ragged vector holds.
constexpr int RESIDENT_THREADS = 256;
template <Layout LAYOUT, typename T, int V>
constexpr int RESIDENT_BLOCKS =
    sizeof(T) < 8 && (LAYOUT == Layout::contiguous || V * (LAYOUT == Layout::ragged ? 1 : 2) < 8) ? 3 : 2;

// One thread's share of a tensor: TENSORS of them, in order of INDEX, divide the block's shared memory.
template <Layout LAYOUT, typename T, int V, int INDEX, int TENSORS>
struct Kept {
  static constexpr int ITEMS = RESIDENT_ITEMS<LAYOUT, T, V, TENSORS>;
  using VecT = Vec<T, V>;
  VecT first[ITEMS];
  VecT* slots;
  int apart;  // slots from one of this thread's to its next

  // Starts all copies.
  template <typename TileT>
  __device__ __forceinline__ Kept(const T* from, const TileT& tile, const Tiling& tiling) {
    FASTGAN_DYNAMIC_SHARED(memory);
    apart = blockDim.x * blockDim.y;
    slots = reinterpret_cast<VecT*>(reinterpret_cast<unsigned char*>(memory) + tiling.shared / TENSORS * INDEX) +
            threadIdx.y * blockDim.x + threadIdx.x;
    VecT* to = slots;
    for (int start = tile.first + tile.round_size(); start < tile.last; start += tile.round_size()) {
#pragma unroll
      for (int k = 0; k < ITEMS; ++k, to += apart) {
        const int i = start + k * tile.members;
        if (i >= tile.last) continue;
        if (sizeof(VecT) >= 4 && sizeof(VecT) <= 16 && tile.whole(i)) {
          __pipeline_memcpy_async(to, from + tile.base + int64_t(i) * tile.step, sizeof(VecT) < 4 ? 4 : sizeof(VecT));
        } else {
          *to = load_vector<T, V>(from, tile, i);
        }
      }
    }
    __pipeline_commit();
    load_items(first, from, tile, tile.first);
  }

  __device__ __forceinline__ void wait() const { __pipeline_wait_prior(0); }

  // The vectors start, start + members, ... of round `round`.
  template <typename TileT>
  __device__ __forceinline__ void take(VecT (&raw)[ITEMS], const TileT& tile, int start, int round) const {
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
      raw[k] = first[k];
      if (round > 0 && start + k * tile.members < tile.last) raw[k] = slots[((round - 1) * ITEMS + k) * apart];
    }
  }
};

// Whether blocks of `lanes` x `members` threads, `cluster` of them to a plane, do with `bytes` of shared memory each;
// completes the tiling if so.
inline bool share_out(Tiling& t, int lanes, int64_t members, int items, int64_t item_bytes, int64_t cluster,
                      int64_t bytes) {
  const int64_t size = ceil_div(t.vectors, cluster), rounds = ceil_div(size, members * items);
  t.size = size;
  t.chunks = cluster;
  t.shared = (rounds - 1) * items * members * lanes * item_bytes;
  return t.shared <= bytes;
}

// The tiling that keeps whole planes on the chip, `item_bytes` for each vector, as many as `most_sharing` blocks to a
// multiprocessor; none where they do not fit. Clusters are also grown for the sake of a GPU that few planes would leave
// idle.
inline std::optional<Tiling> resident_tiling(Layout layout, Shape s, int width, int items, int64_t item_bytes,
                                             int most_sharing, const Limits& limits) {
  Tiling t = make_teams(layout, s.images, s.channels, s.pixels(), width, items);
  const bool rows = layout == Layout::channels_last;
  if (t.vectors <= int64_t(rows ? t.block.y : t.block.x) * items) return t;  // in one round, in registers

  const int64_t channel_vectors = rows ? s.channels / width : 1;
  const auto fit = [&](int threads, int sharing) {
    const int64_t bytes = limits.bytes(sharing);
    for (int lanes = next_power_of_two(channel_vectors, MAX_ROW_LANES); lanes >= 1; lanes /= 2) {
      // Half a 32-byte sector is better than none, but only where nothing wider can be.
      if (lanes == 1 && channel_vectors > 1 && sharing > 1) break;
      t.block = rows ? dim3(lanes, threads / lanes) : dim3(threads);
      t.groups = rows ? s.images * ceil_div(channel_vectors, lanes) : t.planes();
      const int64_t members = threads / lanes;
      for (int cluster = 1; cluster <= limits.cluster; cluster *= 2) {
        if (!share_out(t, lanes, members, items, item_bytes, cluster, bytes)) continue;
        while (2 * t.chunks <= limits.cluster && t.grid() < 2 * limits.multiprocessors &&
               t.size >= 2 * members * items) {
          share_out(t, lanes, members, items, item_bytes, 2 * t.chunks, bytes);
        }
        return true;
      }
    }
    return false;
  };
  for (int sharing = most_sharing; sharing > 1; --sharing) {
    if (fit(RESIDENT_THREADS, sharing)) return t;
  }
  if (fit(MAX_THREADS, 1)) return t;
  return std::nullopt;
}

}  // namespace fastgan::cuda
