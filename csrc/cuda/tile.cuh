// How threads are laid over x [N, C, H, W] when values are per channel or per plane.
//
// A *vector* is V neighbours in memory: V pixels of a channel (contiguous) or V channels of a pixel (channels_last).
// A *team* is the threads that share their channels: sums over pixels are sums over a team.
//
//   contiguous      team = threadIdx.x, all on one plane; planes too small for a warp stand side by side in threadIdx.y
//   ragged          the same where planes start or end between the 16-byte boundaries of vectors: a plane's first and
//                   last vector hold some pixels of its neighbours, which are neither used nor written
//   channels_last   team = threadIdx.y, on the pixels of one image; threadIdx.x walks neighbouring channel vectors,
//                   so that a warp reads whole lines
//
// A team's vectors are cut into chunks, one block a chunk; a block covers its chunk in rounds, and in each round a
// thread takes ITEMS vectors at once, all loads before the first use.
#pragma once

#include "common.cuh"

#include <algorithm>

namespace fastgan::cuda {

constexpr int MAX_THREADS = 512;  // leaves 128 registers a thread
constexpr int MAX_ROW_LANES = 8;  // channels_last: 8 vectors of 16 bytes are a line; more lanes only for narrower ones

// Enough blocks that the last wave of them, which may leave most of the GPU idle, is a small part of all; more would
// only make more partials. The emulation test sets it small to reach the loops over rounds with small tensors.
#ifndef FASTGAN_WANTED_BLOCKS
#define FASTGAN_WANTED_BLOCKS 16384
#endif

struct Tiling {
  int64_t images, channels, pixels;
  int64_t vectors;  // of a team, at most
  int64_t groups;   // blocks side by side at one chunk
  int64_t chunks, size;  // size: vectors of a chunk
  dim3 block;
  int64_t shared = 0;      // dynamic shared memory of a block, bytes
  bool backwards = false;  // the last groups first: they are what the pass before left in the L2 cache

  int64_t grid() const { return groups * chunks; }
  __host__ __device__ int64_t planes() const { return images * channels; }
};

inline int next_power_of_two(int64_t n, int limit) {
  int power = 1;
  while (power < n && power < limit) power *= 2;
  return power;
}

inline int64_t round_up(int64_t n, int64_t multiple) {
  return ceil_div(n, multiple) * multiple;
}

// Lanes side by side on a pixel's channel vectors: whole lines where the pixel has them.
inline int row_lanes(int64_t channel_vectors, int width) {
  return next_power_of_two(channel_vectors, std::max(MAX_ROW_LANES, 32 / width));
}

// Threads of a team, and teams side by side in a block, when every team covers `vectors` in rounds of `items` a thread.
inline dim3 contiguous_block(int64_t vectors, int items) {
  const int64_t members = ceil_div(std::max<int64_t>(vectors, 1), items);
  if (members > 256) return dim3(256, 1);
  if (members > 32) return dim3(unsigned(round_up(members, 32)), 1);
  const int team = next_power_of_two(members, 32);
  return dim3(team, 128 / team);
}

inline dim3 channels_last_block(int lanes, int64_t pixels, int items) {
  const int64_t members = round_up(ceil_div(std::max<int64_t>(pixels, 1), items), 32 / lanes);
  return dim3(lanes, unsigned(std::min<int64_t>(members, 256 / lanes)));
}

// Everything but the chunks, for blocks that take whatever they get in as many rounds as that needs.
inline Tiling make_teams(Layout layout, int64_t images, int64_t channels, int64_t pixels, int width, int items) {
  Tiling t{images, channels, pixels};
  if (layout == Layout::channels_last) {
    t.vectors = pixels;
    t.block = channels_last_block(row_lanes(channels / width, width), pixels, items);
    t.groups = images * ceil_div(channels / width, t.block.x);
  } else {
    // A ragged plane may begin at the last pixel of its first vector.
    t.vectors = layout == Layout::ragged ? ceil_div(pixels + width - 1, width) : pixels / width;
    t.block = contiguous_block(t.vectors, items);
    t.groups = ceil_div(t.planes(), t.block.y);
  }
  t.chunks = 1;
  t.size = t.vectors;
  return t;
}

inline Tiling make_tiling(Layout layout, int64_t images, int64_t channels, int64_t pixels, int width, int items) {
  Tiling t = make_teams(layout, images, channels, pixels, width, items);
  const int64_t round = int64_t(layout == Layout::channels_last ? t.block.y : t.block.x) * items;
  const int64_t rounds = std::max<int64_t>(ceil_div(t.vectors, round), 1);
  const int64_t wanted = std::max<int64_t>(ceil_div(FASTGAN_WANTED_BLOCKS, std::max<int64_t>(t.groups, 1)), 1);
  t.size = ceil_div(rounds, std::min(rounds, wanted)) * round;
  t.chunks = std::max<int64_t>(ceil_div(t.vectors, t.size), 1);
  STD_TORCH_CHECK(t.size * width < MAX_GRID - 2 * round * width, "fastgan: the tensor is too large for one launch");
  return t;
}

// How far into its first vector a ragged plane begins.
template <Layout LAYOUT, int V>
__device__ __forceinline__ int lead_of(int64_t plane, int64_t pixels) {
  return LAYOUT == Layout::ragged ? static_cast<int>(plane * pixels % V) : 0;
}

// Pixels of a plane in one chunk.
template <Layout LAYOUT, int V>
__device__ __forceinline__ int64_t covered_pixels(const Tiling& t, int64_t chunk, int lead) {
  constexpr int PIXELS = LAYOUT == Layout::channels_last ? 1 : V;
  const int64_t size = t.size * PIXELS, from = chunk * size - lead, begin = from < 0 ? 0 : from;
  const int64_t end = from + size < t.pixels ? from + size : t.pixels;
  return end > begin ? end - begin : 0;
}

// One thread's place in a tiling. Vectors are counted from the start of the chunk: 32 bits hold their numbers.
template <Layout LAYOUT_, int V, int ITEMS>
struct Tile {
  static constexpr Layout LAYOUT = LAYOUT_;
  static constexpr int WIDTH = V;
  static constexpr int CHANNELS = LAYOUT == Layout::channels_last ? V : 1;  // that this thread's vectors touch

  bool active;             // false for the threads beyond the last plane or channel, which only take part in barriers
  bool leader;             // the one thread of an active team that writes its results
  int image, channel;      // channel: the first of CHANNELS
  int64_t plane;           // image * channels + channel
  int64_t origin;          // the pixel at which vector 0 begins; ragged: may be before the plane's first
  int64_t base;            // vector i lies at element base + i * step
  int step, chunk;
  int first, last;         // this thread's vectors: first, first + members, ... below last; none when inactive
  int member, members;
  int lead, low, high;     // ragged: elements of the chunk that are the plane's

  __device__ explicit Tile(const Tiling& t) : lead(0), low(0), high(0) {
    const unsigned chunks = static_cast<unsigned>(t.chunks);  // 32-bit division is several times cheaper
    int64_t group = blockIdx.x / chunks;
    chunk = static_cast<int>(blockIdx.x % chunks);
    if (t.backwards) group = t.groups - 1 - group;
    const int64_t begin = chunk * t.size;
    int64_t vectors = t.vectors;
    if constexpr (LAYOUT == Layout::channels_last) {
      const int64_t tiles = (t.channels / V + blockDim.x - 1) / blockDim.x;
      image = static_cast<int>(group / tiles);
      channel = static_cast<int>(group % tiles * blockDim.x + threadIdx.x) * V;
      plane = image * t.channels + channel;
      active = channel < t.channels;
      member = threadIdx.y;
      members = blockDim.y;
      origin = begin;
      base = (image * t.pixels + begin) * t.channels + channel;
      step = static_cast<int>(t.channels);
    } else {
      plane = group * blockDim.y + threadIdx.y;
      image = static_cast<int>(plane / t.channels);
      channel = static_cast<int>(plane % t.channels);
      active = plane < t.planes();
      member = threadIdx.x;
      members = blockDim.x;
      lead = lead_of<LAYOUT, V>(plane, t.pixels);
      origin = begin * V - lead;
      base = plane * t.pixels + origin;
      step = V;
    }
    if constexpr (LAYOUT == Layout::ragged) {
      vectors = (lead + t.pixels + V - 1) / V;
      low = origin < 0 ? lead : 0;
      const int64_t rest = t.pixels - origin, all = t.size * V;
      high = static_cast<int>(rest < all ? rest : all);
    }
    first = member;
    const int64_t rest = vectors - begin;
    last = active ? static_cast<int>(rest < t.size ? rest : t.size) : 0;
    leader = active && member == 0;
  }

  __device__ int round_size() const { return members * ITEMS; }

  // Whether element v of vector i belongs to the plane, and whether all of them do.
  __device__ __forceinline__ bool holds(int i, int v) const {
    if constexpr (LAYOUT != Layout::ragged) return true;
    return i * V + v >= low && i * V + v < high;
  }
  __device__ __forceinline__ bool whole(int i) const {
    if constexpr (LAYOUT != Layout::ragged) return true;
    return i * V >= low && i * V + V <= high;
  }
};

// Vector i of a tensor, and back into one; what is not the plane's reads as zeros and stays as it is.
template <typename T, int V, typename TileT>
__device__ __forceinline__ Vec<T, V> load_vector(const T* from, const TileT& tile, int i) {
  const T* at = from + tile.base + int64_t(i) * tile.step;
  if (tile.whole(i)) return *reinterpret_cast<const Vec<T, V>*>(at);
  Vec<T, V> raw{};
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (tile.holds(i, v)) raw.value[v] = at[v];
  }
  return raw;
}

template <typename T, int V, typename TileT>
__device__ __forceinline__ void store_vector(T* to, const acc_t<T> (&in)[V], const TileT& tile, int i) {
  T* at = to + tile.base + int64_t(i) * tile.step;
  if (tile.whole(i)) return store<V>(at, in);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    if (tile.holds(i, v)) at[v] = static_cast<T>(in[v]);
  }
}

// The thread's next ITEMS vectors from `start` on, all loads in flight at once; zeros beyond its last.
template <typename T, int V, int ITEMS, typename TileT>
__device__ __forceinline__ void load_items(Vec<T, V> (&raw)[ITEMS], const T* from, const TileT& tile, int start) {
#pragma unroll
  for (int k = 0; k < ITEMS; ++k) {
    const int i = start + k * tile.members;
    raw[k] = Vec<T, V>{};
    if (i < tile.last) raw[k] = load_vector<T, V>(from, tile, i);
  }
}

// The channel, among a thread's CHANNELS, of element v of a vector.
template <Layout LAYOUT>
__device__ constexpr int channel_of(int v) {
  return LAYOUT == Layout::channels_last ? v : 0;
}

// Reads one value for each of K neighbouring channels; a parameter may lie anywhere.
template <int K, typename A>
__device__ __forceinline__ void load_channels(A (&out)[K], const A* from, bool active) {
#pragma unroll
  for (int k = 0; k < K; ++k) out[k] = 0;
  if (!active) return;
  if constexpr (K == 1) {
    out[0] = from[0];
  } else if (reinterpret_cast<std::uintptr_t>(from) % alignof(Vec<A, K>) == 0) {
    load<K, A>(out, from);
  } else {
#pragma unroll
    for (int k = 0; k < K; ++k) out[k] = from[k];
  }
}

// Calls body(layout tag, width tag): 16-byte vectors, but narrower ones where they would not divide a pixel's channels.
template <typename T, int V = WIDTH<T>, typename Body>
void dispatch_access(Layout layout, Shape shape, bool is_aligned, Body body) {
  using std::integral_constant;
  const integral_constant<int, V> width;
  if constexpr (V == 1) {
    if (layout == Layout::contiguous) return body(integral_constant<Layout, Layout::contiguous>{}, width);
    return body(integral_constant<Layout, Layout::channels_last>{}, width);
  } else {
    if (layout == Layout::channels_last) {
      if (shape.channels % V != 0) return dispatch_access<T, V / 2>(layout, shape, is_aligned, body);
      return body(integral_constant<Layout, Layout::channels_last>{}, width);
    }
    if constexpr (V == WIDTH<T>) {
      if (is_aligned && shape.pixels() % V == 0) {
        return body(integral_constant<Layout, Layout::contiguous>{}, width);
      }
      return body(integral_constant<Layout, Layout::ragged>{}, width);
    }
  }
}

}  // namespace fastgan::cuda
