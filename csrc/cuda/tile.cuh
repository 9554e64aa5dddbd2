// How threads are laid over x [N, C, H, W] when values are per channel or per plane, and the reductions over them.
//
// A *vector* is V neighbours in memory: V pixels of a channel (contiguous) or V channels of a pixel (channels_last).
// A *team* is the threads that share their channels: sums over pixels are sums over a team.
//
//   contiguous      team = threadIdx.x, all on one plane; planes too small for a warp stand side by side in threadIdx.y
//   channels_last   team = threadIdx.y, on the pixels of one image; threadIdx.x walks neighbouring channel vectors,
//                   so that a warp reads whole lines
//
// A team's vectors are cut into chunks, one block a chunk; a block covers its chunk in rounds, and in each round a
// thread takes ITEMS vectors at once, all loads before the first use. One chunk of one round means that the whole plane
// stays in registers: x is then read once even where it is needed twice.
#pragma once

#include "common.cuh"

#include <algorithm>

namespace fastgan::cuda {

constexpr int MAX_THREADS = 512;   // leaves 128 registers a thread
constexpr int MAX_WARPS = MAX_THREADS / 32;
constexpr int MAX_CELLS = 256;     // channels_last: warps * lanes of a block, the rows of a reduction's shared table

// Enough blocks to fill any GPU several times over; more would only make more partials. The emulation test sets it
// small to reach the loops over rounds with small tensors.
#ifndef FASTGAN_WANTED_BLOCKS
#define FASTGAN_WANTED_BLOCKS 4096
#endif

struct Tiling {
  int64_t images, channels, pixels;
  int64_t vectors;  // of a team
  int64_t groups;   // blocks side by side at one chunk
  int64_t chunks, rounds;
  dim3 block;

  int64_t grid() const { return groups * chunks; }
  __host__ __device__ int64_t planes() const { return images * channels; }
  bool whole() const { return chunks == 1 && rounds == 1; }
};

inline int next_power_of_two(int64_t n, int limit) {
  int power = 1;
  while (power < n && power < limit) power *= 2;
  return power;
}

inline int64_t round_up(int64_t n, int64_t multiple) {
  return ceil_div(n, multiple) * multiple;
}

// Threads of a team, and teams side by side in a block, when every team covers `vectors` in rounds of `items` a thread.
inline dim3 contiguous_block(int64_t vectors, int items) {
  const int64_t members = ceil_div(std::max<int64_t>(vectors, 1), items);
  if (members > MAX_THREADS) return dim3(256, 1);
  if (members > 32) return dim3(unsigned(round_up(members, 32)), 1);
  const int team = next_power_of_two(members, 32);
  return dim3(team, 128 / team);
}

inline dim3 channels_last_block(int64_t channel_vectors, int64_t pixels, int items) {
  const int64_t members = ceil_div(std::max<int64_t>(pixels, 1), items);
  int lanes = next_power_of_two(channel_vectors, 32);
  // Wide rows of channels while pixels are few; down to one 32-byte sector to keep a larger plane in one block.
  while (lanes > 2 && lanes * round_up(members, 32 / lanes) > MAX_CELLS) lanes /= 2;
  const int64_t rows = round_up(members, 32 / lanes);
  if (lanes * rows <= MAX_THREADS) return dim3(lanes, unsigned(rows));
  lanes = next_power_of_two(channel_vectors, 8);
  return dim3(lanes, 256 / lanes);
}

inline Tiling make_tiling(Layout layout, int64_t images, int64_t channels, int64_t pixels, int width, int items) {
  Tiling t{images, channels, pixels};
  int64_t members;
  if (layout == Layout::contiguous) {
    t.vectors = pixels / width;
    t.block = contiguous_block(t.vectors, items);
    t.groups = ceil_div(t.planes(), t.block.y);
    members = t.block.x;
  } else {
    t.vectors = pixels;
    t.block = channels_last_block(channels / width, pixels, items);
    t.groups = images * ceil_div(channels / width, t.block.x);
    members = t.block.y;
  }
  const int64_t all_rounds = std::max<int64_t>(ceil_div(t.vectors, members * items), 1);
  const int64_t wanted = std::max<int64_t>(ceil_div(FASTGAN_WANTED_BLOCKS, std::max<int64_t>(t.groups, 1)), 1);
  t.rounds = ceil_div(all_rounds, std::min(all_rounds, wanted));
  t.chunks = ceil_div(all_rounds, t.rounds);
  return t;
}

// One thread's place in a tiling.
template <Layout LAYOUT, int V, int ITEMS>
struct Tile {
  static constexpr bool CONTIGUOUS = LAYOUT == Layout::contiguous;
  static constexpr int WIDTH = V;
  static constexpr int CHANNELS = CONTIGUOUS ? 1 : V;  // that this thread's vectors touch

  bool active;             // false for the threads beyond the last plane or channel, which only take part in barriers
  bool leader;             // the one thread of an active team that writes its results
  int64_t image, channel;  // channel: the first of CHANNELS
  int64_t plane;           // image * channels + channel
  int64_t chunk;
  int64_t base, step;      // vector i lies at element base + i * step
  int64_t first, last;     // this thread's vectors: first, first + members, ... below last; none when inactive
  int members;
  int64_t covered;         // pixels of this chunk

  __device__ explicit Tile(const Tiling& t) {
    const unsigned chunks = static_cast<unsigned>(t.chunks);  // 32-bit division is several times cheaper
    const int64_t group = blockIdx.x / chunks;
    chunk = blockIdx.x % chunks;
    int member;
    if constexpr (CONTIGUOUS) {
      plane = group * blockDim.y + threadIdx.y;
      image = plane / t.channels;
      channel = plane % t.channels;
      active = plane < t.planes();
      member = threadIdx.x;
      members = blockDim.x;
      base = plane * t.pixels;
      step = V;
    } else {
      const int64_t tiles = (t.channels / V + blockDim.x - 1) / blockDim.x;
      image = group / tiles;
      channel = (group % tiles * blockDim.x + threadIdx.x) * V;
      plane = image * t.channels + channel;
      active = channel < t.channels;
      member = threadIdx.y;
      members = blockDim.y;
      base = image * t.pixels * t.channels + channel;
      step = t.channels;
    }
    const int64_t size = t.rounds * members * ITEMS;
    const int64_t begin = chunk * size, end = begin + size < t.vectors ? begin + size : t.vectors;
    first = begin + member;
    last = active ? end : 0;
    leader = active && member == 0;
    covered = (end - begin) * (CONTIGUOUS ? V : 1);
  }

  __device__ int64_t round_size() const { return int64_t(members) * ITEMS; }
};

// The thread's next ITEMS vectors from `start` on, all loads in flight at once; zeros beyond its last.
template <typename T, int V, int ITEMS, typename TileT>
__device__ __forceinline__ void load_items(Vec<T, V> (&raw)[ITEMS], const T* from, const TileT& tile, int64_t start) {
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int64_t i = start + int64_t(k) * tile.members;
    raw[k] = Vec<T, V>{};
    if (i < tile.last) raw[k] = *reinterpret_cast<const Vec<T, V>*>(from + tile.base + i * tile.step);
  }
}

// The channel, among a thread's CHANNELS, of element v of a vector.
template <Layout LAYOUT>
__device__ constexpr int channel_of(int v) {
  return LAYOUT == Layout::contiguous ? 0 : v;
}

// Reads one value for each of K neighbouring channels.
template <int K, typename A>
__device__ __forceinline__ void load_channels(A (&out)[K], const A* from, bool active) {
#pragma unroll
  for (int k = 0; k < K; ++k) out[k] = 0;
  if (active) load<K, A>(out, from);
}

// Sums each of K values over the team; every member gets the result. All threads of the block must call it.
template <Layout LAYOUT, int K, typename A>
__device__ void team_sum(A (&value)[K]) {
  constexpr bool CONTIGUOUS = LAYOUT == Layout::contiguous;
  const int nearest = CONTIGUOUS ? 1 : blockDim.x;  // distance in the warp from one member to the next
  const int span = CONTIGUOUS && blockDim.x < 32 ? blockDim.x : 32;
  for (int offset = nearest; offset < span; offset *= 2) {
#pragma unroll
    for (int k = 0; k < K; ++k) value[k] += __shfl_xor_sync(0xffffffffu, value[k], offset);
  }
  const int threads = blockDim.x * blockDim.y, warps = threads / 32;
  if (warps == 1 || (CONTIGUOUS && blockDim.x <= 32)) return;

  // Across warps: a table [warps][columns], a column for each value of each lane.
  __shared__ A table[(CONTIGUOUS ? MAX_WARPS : MAX_CELLS) * K];
  __shared__ A total[(CONTIGUOUS ? 1 : 32) * K];
  const int lanes = CONTIGUOUS ? 1 : blockDim.x, columns = lanes * K;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, warp = thread / 32, lane = thread % 32;
  if (lane < lanes) {
#pragma unroll
    for (int k = 0; k < K; ++k) table[warp * columns + lane * K + k] = value[k];
  }
  __syncthreads();
  for (int column = thread; column < columns; column += threads) {
    A sum = 0;
    for (int w = 0; w < warps; ++w) sum += table[w * columns + column];
    total[column] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < K; ++k) value[k] = total[lane % lanes * K + k];
}

// out[r] = sum over o and i of in[o][r][i], in [outer, rows, inner]: one warp a row, in a fixed order (no atomics).
template <typename A>
__global__ void __launch_bounds__(256) fold_kernel(const A* in, A* out, int64_t outer, int64_t rows, int64_t inner) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  A sum = 0;
  if (row < rows) {
    for (int64_t j = threadIdx.x; j < outer * inner; j += 32) sum += in[(j / inner * rows + row) * inner + j % inner];
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (row < rows && threadIdx.x == 0) out[row] = sum;
}

template <typename A>
void fold(const Launcher& launch, const A* in, A* out, int64_t outer, int64_t rows, int64_t inner) {
  launch(fold_kernel<A>, ceil_div(rows, 8), dim3(32, 8), in, out, outer, rows, inner);
}

// Calls body(layout tag, width tag): 16-byte vectors where memory allows them, single elements elsewhere.
template <typename T, typename Body>
void dispatch_access(Layout layout, Shape shape, bool is_aligned, Body body) {
  using std::integral_constant;
  constexpr int W = WIDTH<T>;
  const int64_t run = layout == Layout::contiguous ? shape.pixels() : shape.channels;
  const bool wide = W > 1 && is_aligned && run % W == 0;
  const integral_constant<Layout, Layout::contiguous> contiguous;
  const integral_constant<Layout, Layout::channels_last> channels_last;
  const integral_constant<int, W> vector;
  const integral_constant<int, 1> scalar;
  if (layout == Layout::contiguous) return wide ? body(contiguous, vector) : body(contiguous, scalar);
  return wide ? body(channels_last, vector) : body(channels_last, scalar);
}

}  // namespace fastgan::cuda
