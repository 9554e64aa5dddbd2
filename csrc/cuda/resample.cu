// upsample2x and downsample2x: zero-insertion or decimation by 2 with a separable 4-tap blur in one pass. On each axis
//
//   up    y[2i] = t1 x[i] + t3 x[i-1]      y[2i+1] = t2 x[i] + t0 x[i+1]
//   down  y[i] = t0 x[2i-1] + t1 x[2i] + t2 x[2i+1] + t3 x[2i+2]
//
// with zeros outside; down is the exact adjoint of up. A thread owns a strip, COLUMNS wide and CHANNELS deep, and
// marches down ROWS rows of it: each input row is filtered horizontally once, then serves every output row it touches.
#include "common.cuh"

namespace fastgan::cuda {
namespace {

constexpr int ROWS = 8;  // input rows (up) or output rows (down) a thread; 2 more are read for the borders
constexpr int THREADS = 256;

template <typename A>
struct Taps {
  A t0, t1, t2, t3;
};

template <typename T>
struct Arguments {
  const T* x;
  T* y;
  int64_t planes;  // N * C, or N for channels_last
  int64_t channels;  // 1, or C for channels_last
  int64_t height, width;          // of x
  int64_t out_height, out_width;  // of y
  int64_t strip_rows, strip_columns;  // strips on each axis
  int64_t strips;                     // in all
  Taps<acc_t<T>> taps;
};

// A strip's place: contiguous memory is widest along columns, channels_last along channels.
template <Layout LAYOUT, int V>
struct Strip {
  static constexpr bool CONTIGUOUS = LAYOUT == Layout::contiguous;
  static constexpr int CHANNELS = CONTIGUOUS ? 1 : V;
  static constexpr int COLUMNS = CONTIGUOUS && V > 1 ? V / 2 : 1;  // of the smaller image

  int64_t plane, channel, row, column;  // row and column of the smaller image

  template <typename T>
  __device__ Strip(const Arguments<T>& a, int64_t index) {
    const int64_t channel_vectors = a.channels / CHANNELS;
    channel = index % channel_vectors * CHANNELS;
    index /= channel_vectors;
    column = index % a.strip_columns * COLUMNS;
    index /= a.strip_columns;
    row = index % a.strip_rows * ROWS;
    plane = index / a.strip_rows;
  }
};

// x[row][column - 1 .. column + WIDE] of one plane at CHANNELS channels, zeros outside the image.
template <bool VECTOR, int WIDE, int CHANNELS, typename T>
__device__ __forceinline__ void load_row(acc_t<T> (&out)[WIDE + 2][CHANNELS], const Arguments<T>& a, int64_t plane,
                                         int64_t channel, int64_t row, int64_t column) {
  const bool inside = row >= 0 && row < a.height;
  const T* from = a.x + ((plane * a.height + row) * a.width + column) * a.channels + channel;
#pragma unroll
  for (int j = 0; j < WIDE + 2; ++j) {
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) out[j][c] = 0;
    if (VECTOR && j > 0 && j <= WIDE) continue;
    const int64_t at = column + j - 1;
    if (inside && at >= 0 && at < a.width) load<CHANNELS, T>(out[j], from + (j - 1) * a.channels);
  }
  if constexpr (VECTOR) {  // the middle of the row in one access
    static_assert(CHANNELS == 1);
    acc_t<T> middle[WIDE] = {};
    if (inside) load<WIDE, T>(middle, from);
#pragma unroll
    for (int j = 0; j < WIDE; ++j) out[j + 1][0] = middle[j];
  }
}

// Writes y[row][column .. column + WIDE) of one plane at CHANNELS channels, except what lies outside the image.
template <bool VECTOR, int WIDE, int CHANNELS, typename T>
__device__ __forceinline__ void store_row(const acc_t<T> (&in)[WIDE][CHANNELS], const Arguments<T>& a, int64_t plane,
                                          int64_t channel, int64_t row, int64_t column) {
  if (row >= a.out_height) return;
  T* to = a.y + ((plane * a.out_height + row) * a.out_width + column) * a.channels + channel;
  if constexpr (VECTOR) {
    acc_t<T> middle[WIDE];
#pragma unroll
    for (int j = 0; j < WIDE; ++j) middle[j] = in[j][0];
    store<WIDE, T>(to, middle);
  } else {
#pragma unroll
    for (int j = 0; j < WIDE; ++j) {
      if (column + j < a.out_width) store<CHANNELS, T>(to + j * a.channels, in[j]);
    }
  }
}

template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(THREADS) upsample_kernel(Arguments<T> a) {
  using A = acc_t<T>;
  using StripT = Strip<LAYOUT, V>;
  constexpr int COLUMNS = StripT::COLUMNS, CHANNELS = StripT::CHANNELS;
  constexpr bool VECTOR = StripT::CONTIGUOUS && V > 1;
  const int64_t index = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (index >= a.strips) return;
  const StripT strip(a, index);
  const A t0 = a.taps.t0, t1 = a.taps.t1, t2 = a.taps.t2, t3 = a.taps.t3;

  // Row i of x, upsampled along the row.
  const auto widen = [&](A(&wide)[2 * COLUMNS][CHANNELS], int64_t i) {
    A x[COLUMNS + 2][CHANNELS];  // x[j + 1] is column j
    load_row<VECTOR, COLUMNS, CHANNELS>(x, a, strip.plane, strip.channel, i, strip.column);
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) {
        wide[2 * j][c] = t1 * x[j + 1][c] + t3 * x[j][c];
        wide[2 * j + 1][c] = t2 * x[j + 1][c] + t0 * x[j + 2][c];
      }
    }
  };

  A above[2 * COLUMNS][CHANNELS], here[2 * COLUMNS][CHANNELS], below[2 * COLUMNS][CHANNELS];
  widen(above, strip.row - 1);
  widen(here, strip.row);
  for (int64_t i = strip.row; i < strip.row + ROWS && 2 * i < a.out_height; ++i) {
    widen(below, i + 1);
    A even[2 * COLUMNS][CHANNELS], odd[2 * COLUMNS][CHANNELS];
#pragma unroll
    for (int j = 0; j < 2 * COLUMNS; ++j) {
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) {
        even[j][c] = t1 * here[j][c] + t3 * above[j][c];
        odd[j][c] = t2 * here[j][c] + t0 * below[j][c];
        above[j][c] = here[j][c];
        here[j][c] = below[j][c];
      }
    }
    store_row<VECTOR, 2 * COLUMNS, CHANNELS>(even, a, strip.plane, strip.channel, 2 * i, 2 * strip.column);
    store_row<VECTOR, 2 * COLUMNS, CHANNELS>(odd, a, strip.plane, strip.channel, 2 * i + 1, 2 * strip.column);
  }
}

template <Layout LAYOUT, typename T, int V>
__global__ void __launch_bounds__(THREADS) downsample_kernel(Arguments<T> a) {
  using A = acc_t<T>;
  using StripT = Strip<LAYOUT, V>;
  constexpr int COLUMNS = StripT::COLUMNS, CHANNELS = StripT::CHANNELS;
  constexpr bool VECTOR = StripT::CONTIGUOUS && V > 1;
  const int64_t index = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (index >= a.strips) return;
  const StripT strip(a, index);
  const A t0 = a.taps.t0, t1 = a.taps.t1, t2 = a.taps.t2, t3 = a.taps.t3;

  // Row i of x, downsampled along the row.
  const auto narrow = [&](A(&thin)[COLUMNS][CHANNELS], int64_t i) {
    A x[2 * COLUMNS + 2][CHANNELS];  // x[j + 1] is column j
    load_row<VECTOR, 2 * COLUMNS, CHANNELS>(x, a, strip.plane, strip.channel, i, 2 * strip.column);
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) {
        thin[j][c] = t0 * x[2 * j][c] + t1 * x[2 * j + 1][c] + t2 * x[2 * j + 2][c] + t3 * x[2 * j + 3][c];
      }
    }
  };

  A first[COLUMNS][CHANNELS], second[COLUMNS][CHANNELS], third[COLUMNS][CHANNELS], fourth[COLUMNS][CHANNELS];
  narrow(first, 2 * strip.row - 1);
  narrow(second, 2 * strip.row);
  for (int64_t i = strip.row; i < strip.row + ROWS && i < a.out_height; ++i) {
    narrow(third, 2 * i + 1);
    narrow(fourth, 2 * i + 2);
    A y[COLUMNS][CHANNELS];
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) {
        y[j][c] = t0 * first[j][c] + t1 * second[j][c] + t2 * third[j][c] + t3 * fourth[j][c];
        first[j][c] = third[j][c];
        second[j][c] = fourth[j][c];
      }
    }
    store_row<VECTOR, COLUMNS, CHANNELS>(y, a, strip.plane, strip.channel, i, strip.column);
  }
}

// y [N, C, height, width] in x's layout; channels_last is made as [N, height, width, C] and turned.
Tensor resized_like(const Tensor& x, Layout layout, int64_t height, int64_t width) {
  const Shape s = shape_of(x);
  if (layout == Layout::contiguous) return new_empty(x, {s.images, s.channels, height, width}, x.scalar_type());
  const Tensor turned = new_empty(x, {s.images, height, width, s.channels}, x.scalar_type());
  return torch::stable::transpose(torch::stable::transpose(turned, 2, 3), 1, 2);
}

template <bool UP, Layout LAYOUT, typename T, int V>
void launch_resample(const Tensor& x, Arguments<T> a) {
  using StripT = Strip<LAYOUT, V>;
  // Up: an odd output size has one more slot, whose input pixel is a zero outside the image.
  const int64_t rows = UP ? ceil_div(a.out_height, 2) : a.out_height;
  const int64_t columns = UP ? ceil_div(a.out_width, 2) : a.out_width;
  a.strip_rows = ceil_div(rows, ROWS);
  a.strip_columns = ceil_div(columns, StripT::COLUMNS);
  a.strips = a.planes * a.strip_rows * a.strip_columns * (a.channels / StripT::CHANNELS);
  const Launcher launch(x);
  if constexpr (UP) {
    launch(upsample_kernel<LAYOUT, T, V>, ceil_div(a.strips, THREADS), dim3(THREADS), a);
  } else {
    launch(downsample_kernel<LAYOUT, T, V>, ceil_div(a.strips, THREADS), dim3(THREADS), a);
  }
}

// In the widest vectors that divide `run`, neighbours in memory.
template <bool UP, Layout LAYOUT, typename T, int V = WIDTH<T>>
void launch_widest(const Tensor& x, const Arguments<T>& a, int64_t run) {
  if constexpr (V > 1) {
    if (run % V != 0) return launch_widest<UP, LAYOUT, T, V / 2>(x, a, run);
  }
  launch_resample<UP, LAYOUT, T, V>(x, a);
}

template <bool UP>
Tensor resample(const Tensor& x_any, double t0, double t1, double t2, double t3, int64_t height, int64_t width) {
  const Tensor x = dense(x_any);  // the gradient of a sum, say, has no memory of its own
  const Layout layout = layout_of(x);
  const Shape s = shape_of(x);
  Tensor y = resized_like(x, layout, height, width);
  dispatch_dtype(x, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    const bool contiguous = layout == Layout::contiguous;
    Arguments<T> a{};
    a.x = input<T>(x);
    a.y = output<T>(y);
    a.planes = contiguous ? s.images * s.channels : s.images;
    a.channels = contiguous ? 1 : s.channels;
    a.height = s.height;
    a.width = s.width;
    a.out_height = height;
    a.out_width = width;
    a.taps = {A(t0), A(t1), A(t2), A(t3)};
    if (contiguous) {
      launch_widest<UP, Layout::contiguous, T>(x, a, UP ? width : s.width);  // the larger image's rows
    } else {
      launch_widest<UP, Layout::channels_last, T>(x, a, s.channels);
    }
  });
  return y;
}

Tensor upsample2x_cuda(const Tensor& x, double t0, double t1, double t2, double t3, int64_t height, int64_t width) {
  const Shape s = shape_of(x);
  STD_TORCH_CHECK(height / 2 == s.height && width / 2 == s.width,
                  "fastgan: upsample2x makes 2H or 2H + 1 rows and 2W or 2W + 1 columns");
  return resample<true>(x, t0, t1, t2, t3, height, width);
}

Tensor downsample2x_cuda(const Tensor& x, double t0, double t1, double t2, double t3) {
  const Shape s = shape_of(x);
  return resample<false>(x, t0, t1, t2, t3, s.height / 2, s.width / 2);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastgan, CUDA, m) {
  m.impl("upsample2x", TORCH_BOX(&upsample2x_cuda));
  m.impl("downsample2x", TORCH_BOX(&downsample2x_cuda));
}

}  // namespace fastgan::cuda
