// Stands in for CUDA's header of the same name. A copy is done as late as the hardware may do it: when it is waited
// for.
#pragma once

#include <cstddef>

namespace emulation {
void copy_later(void* to, const void* from, size_t bytes);
void finish_copies();
}  // namespace emulation

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes) {
  emulation::copy_later(to, from, bytes);
}

inline void __pipeline_commit() {}

inline void __pipeline_wait_prior(size_t) {  // only ever 0: all of them
  emulation::finish_copies();
}
