// Sums over a team within a block, and over the partials that blocks leave behind; always in the same order.
#pragma once

#include "tile.cuh"

namespace fastgan::cuda {

// One table serves every sum of a kernel: a sum is read from `total` only, which is next written behind a barrier.
template <Layout LAYOUT, typename A>
struct Scratch {
  static constexpr int LANES = LAYOUT == Layout::channels_last ? 32 : 1;
  static constexpr int COLUMNS = LAYOUT == Layout::channels_last ? MAX_ROW_LANES * 16 : 2;  // values of a row of lanes
  A table[MAX_THREADS / 32 * COLUMNS];
  A total[COLUMNS];
};

template <Layout LAYOUT, typename A>
__device__ __forceinline__ Scratch<LAYOUT, A>& scratch() {
  __shared__ Scratch<LAYOUT, A> memory;
  return memory;
}

// Sums each of K values over the team; every member gets the result. All threads of the block must call it.
template <Layout LAYOUT, int K, typename A>
__device__ void team_sum(A (&value)[K]) {
  constexpr bool PLANAR = LAYOUT != Layout::channels_last;
  const int nearest = PLANAR ? 1 : blockDim.x;  // distance in the warp from one member to the next
  const int span = PLANAR && blockDim.x < 32 ? blockDim.x : 32;
  for (int offset = nearest; offset < span; offset *= 2) {
#pragma unroll
    for (int k = 0; k < K; ++k) value[k] += __shfl_xor_sync(0xffffffffu, value[k], offset);
  }
  const int threads = blockDim.x * blockDim.y, warps = threads / 32;
  if (warps == 1 || (PLANAR && blockDim.x <= 32)) return;

  // Across warps: a table [warps][columns], a column for each value of each lane.
  Scratch<LAYOUT, A>& memory = scratch<LAYOUT, A>();
  const int lanes = PLANAR ? 1 : blockDim.x, columns = lanes * K;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, warp = thread / 32, lane = thread % 32;
  if (lane < lanes) {
#pragma unroll
    for (int k = 0; k < K; ++k) memory.table[warp * columns + lane * K + k] = value[k];
  }
  __syncthreads();
  for (int column = thread; column < columns; column += threads) {
    A sum = 0;
    for (int w = 0; w < warps; ++w) sum += memory.table[w * columns + column];
    memory.total[column] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < K; ++k) value[k] = memory.total[lane % lanes * K + k];
}

template <typename A, int COUNT>
struct Folded {  // where each of COUNT sums goes
  A* to[COUNT];
};

// to[s][r] = sum over o and i of in[s][o][r][i], in [COUNT, outer, rows, inner]: one warp a row, in a fixed order (no
// atomics).
template <typename A, int COUNT>
__global__ void __launch_bounds__(256)
    fold_kernel(const A* in, Folded<A, COUNT> out, int64_t outer, int64_t rows, int64_t inner) {
  const int64_t all = int64_t(blockIdx.x) * blockDim.y + threadIdx.y, which = all / rows, row = all % rows;
  A sum = 0;
  if (which < COUNT) {
    const A* from = in + which * outer * rows * inner;
    for (int64_t j = threadIdx.x; j < outer * inner; j += 32) {
      sum += from[(j / inner * rows + row) * inner + j % inner];
    }
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
#pragma unroll
  for (int s = 0; s < COUNT; ++s) {
    if (which == s && threadIdx.x == 0) out.to[s][row] = sum;
  }
}

template <typename A, typename... Outputs>
void fold(const Launcher& launch, const A* in, int64_t outer, int64_t rows, int64_t inner, Outputs... to) {
  constexpr int COUNT = sizeof...(to);
  const Folded<A, COUNT> out{{to...}};
  launch(fold_kernel<A, COUNT>, ceil_div(COUNT * rows, 8), dim3(32, 8), in, out, outer, rows, inner);
}

}  // namespace fastgan::cuda
