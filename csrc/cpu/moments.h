// Mean and squared deviations of each lane's series of values, read once, and of the lanes together.
#pragma once

#include "simd.h"

namespace fastgan {
namespace FASTGAN_ISA {

// Sums go run by run, since short sums round less than a long one: most precisely where runs are not too many.
constexpr int64_t kShortestRun = 64, kMostRuns = 128;
inline int64_t run_of(int64_t steps) { return steps > kShortestRun * kMostRuns ? steps / kMostRuns : kShortestRun; }

// Values are summed as deviations from a pivot, which moves to the mean so far before each chunk. What cancels when
// it moves is the square of its distance to the mean: at most `chunk` times the squares while the pivot is one value
// of the chunk, at most about twice when it is the mean of as many values as follow. So the first chunk is short and
// the others double, up to a run. Equal values have deviations of exactly zero.
constexpr int64_t kFirstChunk = 4;

// f(begin, end) for each chunk of the steps [1, steps); step 0 is the first pivot.
template <class F>
FASTGAN_INLINE void for_chunks(int64_t steps, F f) {
  const int64_t run = run_of(steps);
  for (int64_t begin = 1, end = kFirstChunk; begin < steps; begin = end, end = 2 * begin) {
    if (end > begin + run) end = begin + run;
    if (end > steps) end = steps;
    f(begin, end);
  }
}

template <class A, int U>
struct Moments {
  Tile<A, U> pivot, sum, squares;  // a point near the mean; sums of deviations from it, and of their squares

  FASTGAN_INLINE void start(const Tile<A, U>& first) { pivot = first, sum = squares = fill<A, U>(0); }

  FASTGAN_INLINE void add(const Tile<A, U>& part_sum, const Tile<A, U>& part_squares) {
    sum = sum + part_sum;
    squares = squares + part_squares;
  }

  // Moves the pivot to the mean of the `count` values so far, or as near as it can be written: `sum` keeps the rest.
  FASTGAN_INLINE void move_pivot(A count) {
    const Tile<A, U> moved_pivot = pivot + (1 / count) * sum, moved = moved_pivot - pivot;
    const Tile<A, U> moved_squares = squares - moved * (A(2) * sum - count * moved);
    squares = if_positive(moved_squares, moved_squares, squares);  // squares that overflowed stay infinite
    sum = sum - count * moved;
    pivot = moved_pivot;
  }

  // Mean and sum of squared deviations of `count` values a lane.
  FASTGAN_INLINE void finish(A count, Tile<A, U>& mean, Tile<A, U>& deviations) const {
    const Tile<A, U> offset = (1 / count) * sum, moved = squares - offset * sum;
    mean = pivot + offset;
    deviations = if_positive(moved, moved, squares);
  }

  // The same over all lanes. Each holds `count` values, and one more where it is among the first `extra`; lanes
  // without any are left out.
  template <class Extra>
  FASTGAN_INLINE void finish_together(A count, Extra extra, A total, A& mean, A& deviations) const {
    const A origin = pivot.v[0][0];
    Tile<A, U> distance = pivot - origin;
    Tile<A, U> counts = fill<A, U>(count);
    if constexpr (!__is_same(Extra, Whole)) {
      counts = counts + keep(fill<A, U>(1), extra);
      if (count == 0) distance = keep(distance, extra);
    }
    const A offset = fastgan::FASTGAN_ISA::sum(counts * distance + sum) / total;
    distance = distance - offset;
    mean = origin + offset;
    deviations = fastgan::FASTGAN_ISA::sum(squares + distance * (A(2) * sum + counts * distance));
    if (deviations != deviations && __builtin_isinf(fastgan::FASTGAN_ISA::sum(squares)))
      deviations = __builtin_inf();  // infinite less infinite
  }
};

}  // namespace FASTGAN_ISA
}  // namespace fastgan
