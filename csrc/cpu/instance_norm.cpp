#include "instance_norm.h"

#include "norm_walk.h"

namespace fastgan {
namespace FASTGAN_ISA {
namespace {

template <class G>
struct Forward : G {
  using typename G::A;
  using typename G::Per;
  using typename G::Tile_;
  static constexpr int kStates = 3, kPixelVectors = kRegisters / 8;
  using Args = InstanceNorm;
  Moments<A, G::U> moments;

  FASTGAN_INLINE Forward(const InstanceNorm& a, int64_t n, int64_t c, typename G::Count channels)
      : G(a, n, c, channels) {}
  static const InstanceNorm& norm(const Args& a) { return a; }

  FASTGAN_INLINE Tile_& state(int i) { return i == 0 ? moments.pivot : i == 1 ? moments.sum : moments.squares; }

  template <class F>
  static void for_parts(int64_t steps, F f) {
    for_chunks(steps, f);
  }
  FASTGAN_INLINE void start() {
    if constexpr (G::kPlanes) {
      if (this->whole_steps()) moments.start(this->activation(0, Whole{}));
      else moments.start(this->activation(0, this->tail()));
    } else {
      moments.start(this->activation(0, this->channels));
    }
  }
  FASTGAN_INLINE void measure(int64_t begin, int64_t end) {
    if (begin > 1) moments.move_pivot(static_cast<A>(begin));
    Tile_ sum = fill<A, G::U>(0), squares = sum;
    this->visit(begin, end, [&](int64_t step, auto count) {
      const Tile_ d = this->activation(step, count) - moments.pivot;
      sum = sum + d;
      squares = squares + d * d;
    });
    moments.add(sum, squares);
  }
  FASTGAN_INLINE void finish() {
    Per mean, deviations, rstd;
    const A steps = static_cast<A>(this->whole_steps());
    if constexpr (G::kPlanes) {
      const A total = static_cast<A>(this->a.shape.hw());
      const int tail = this->tail();
      if (tail) {
        if (steps > 0) {
          const Tile_ d = keep(this->activation(this->whole_steps(), tail) - moments.pivot, tail);
          moments.add(d, d * d);
        }
        moments.finish_together(steps, tail, total, mean, deviations);
      } else {
        moments.finish_together(steps, Whole{}, total, mean, deviations);
      }
      rstd = rstd_of(deviations);
    } else {
      moments.finish(steps, mean, deviations);
      FASTGAN_EACH(u, G::U)
      for (int i = 0; i < kLanes<A>; ++i) rstd.v[u][i] = rstd_of(deviations.v[u][i]);
    }
    this->put(this->a.mean, mean);
    this->put(this->a.rstd, rstd);
  }
  FASTGAN_INLINE A rstd_of(A deviations) const {
    return static_cast<A>(1 / __builtin_sqrt(deviations / static_cast<double>(this->a.shape.hw()) + this->a.eps));
  }

  FASTGAN_INLINE void write(int64_t begin, int64_t end) const {
    const Per mean = this->parameter(this->a.mean, this->nc());
    const Per gain = (A(1) + this->parameter(this->a.scale, this->nc())) * this->parameter(this->a.rstd, this->nc());
    const Per shift = this->parameter(this->a.shift, this->nc());
    const auto step = [&](int64_t step, auto count) {
      this->store(this->a.y, step, (this->activation(step, count) - mean) * gain + shift, count);
    };
    this->visit(begin, end, step);
    if (end == this->whole_steps()) this->visit_tail(step);
  }
  FASTGAN_INLINE void start_write() {}
  FASTGAN_INLINE void finish_write() {}
};

template <class G>
struct Backward : G {
  using typename G::A;
  using typename G::Per;
  using typename G::Tile_;
  static constexpr int kStates = 2, kPixelVectors = kRegisters / 16;
  using Args = InstanceNormBackward;
  const InstanceNormBackward& b;
  Per mean, rstd;
  Tile_ sums[2];  // of g and g * (h - mean); then of dx and dx * noise

  FASTGAN_INLINE Backward(const InstanceNormBackward& b_, int64_t n, int64_t c, typename G::Count channels)
      : G(b_.forward, n, c, channels), b(b_) {
    mean = this->parameter(this->a.mean, this->nc());
    rstd = this->parameter(this->a.rstd, this->nc());
  }
  static const InstanceNorm& norm(const Args& b) { return b.forward; }

  FASTGAN_INLINE Tile_& state(int i) { return sums[i]; }

  template <class F>
  static void for_parts(int64_t steps, F f) {
    for_runs(steps, f);
  }
  FASTGAN_INLINE void start() { sums[0] = sums[1] = fill<A, G::U>(0); }

  FASTGAN_INLINE void measure(int64_t begin, int64_t end) {
    Tile_ sum_g = fill<A, G::U>(0), sum_g_h = sum_g;
    const auto step = [&](int64_t step, auto count) {
      const Tile_ g = this->load(b.g, step, count);  // zero past count, so both sums are right there
      sum_g = sum_g + g;
      sum_g_h = sum_g_h + g * (this->activation(step, count) - mean);
    };
    this->visit(begin, end, step);
    if (end == this->whole_steps()) this->visit_tail(step);
    sums[0] = sums[0] + sum_g;
    sums[1] = sums[1] + sum_g_h;
  }
  FASTGAN_INLINE void finish() {
    this->put(b.dshift, this->over_pixels(sums[0]));
    this->put(b.dscale, rstd * this->over_pixels(sums[1]));
  }

  FASTGAN_INLINE void start_write() { start(); }
  FASTGAN_INLINE void write(int64_t begin, int64_t end) {
    const Per gain = (A(1) + this->parameter(this->a.scale, this->nc())) * rstd;
    const A share = A(1) / static_cast<A>(this->a.shape.hw());
    const Per mean_g = share * this->parameter(b.dshift, this->nc());
    const Per slope_h = share * (rstd * this->parameter(b.dscale, this->nc()));
    Tile_ sum_dx = fill<A, G::U>(0), sum_dx_noise = sum_dx;
    const auto step = [&](int64_t step, auto count) {
      const Tile_ p = this->preactivation(step, count);
      const Tile_ h = G::kEpilogue ? leaky_relu(p, this->slope) : p;
      Tile_ d = gain * (this->load(b.g, step, count) - mean_g - (h - mean) * slope_h);
      if constexpr (G::kEpilogue) {
        d = this->kept(scale_unless_positive(p, d, this->slope), count);
        sum_dx = sum_dx + d;
        if (this->noise) sum_dx_noise = sum_dx_noise + d * this->noise_at(step, count);
      }
      this->store(b.dx, step, d, count);
    };
    this->visit(begin, end, step);
    if (end == this->whole_steps()) this->visit_tail(step);
    sums[0] = sums[0] + sum_dx;
    sums[1] = sums[1] + sum_dx_noise;
  }
  FASTGAN_INLINE void finish_write() {
    if constexpr (G::kEpilogue) {
      this->put(b.dbias, this->over_pixels(sums[0]));
      this->put(b.dstrength, this->over_pixels(sums[1]));
    }
  }
};

template <template <class> class Pass, bool kEpilogue, class T, class Args>
void run_items(T*, const Args& args, const InstanceNorm& a, int64_t begin, int64_t end) {
  constexpr int64_t L = kLanes<Acc<T>>;
  if (a.layout == Layout::planes) {
    if (a.shape.hw() >= 4 * L) return planes<Pass<Group<Layout::planes, kEpilogue, T, 4, Whole>>>(args, begin, end);
    return planes<Pass<Group<Layout::planes, kEpilogue, T, 1, Whole>>>(args, begin, end);
  }
  const int64_t blocks = (a.shape.c + a.block - 1) / a.block;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item % blocks * a.block;
    const int64_t last = first + a.block < a.shape.c ? first + a.block : a.shape.c;
    PixelBlock<Pass, kEpilogue, T>{args, item / blocks, first, last, {}}.run();
  }
}

template <template <class> class Pass, class Args>
void run(const Args& args, const InstanceNorm& a, int64_t begin, int64_t end) {
  for_dtype(a.dtype, [&](auto* storage) {
    if (a.epilogue) run_items<Pass, true>(storage, args, a, begin, end);
    else run_items<Pass, false>(storage, args, a, begin, end);
  });
}

}  // namespace

void instance_norm(const InstanceNorm& a, int64_t begin, int64_t end) { run<Forward>(a, a, begin, end); }
void instance_norm_backward(const InstanceNormBackward& b, int64_t begin, int64_t end) {
  run<Backward>(b, b.forward, begin, end);
}

}  // namespace FASTGAN_ISA
}  // namespace fastgan
