// What a CPU kernel is, seen from both sides: the op that calls it and the units that define it once for each
// instruction set. Knows nothing of torch, so that no torch inline is ever compiled for AVX-512 (the linker
// could pick it for every machine).
#pragma once

#include <cstdint>

namespace fastgan {

enum class DType : int8_t { f32, f64, bf16, f16 };

// planes: [N, C, H, W] contiguous, the pixels of a plane are neighbours.
// pixels: the same shape channels_last, the channels of a pixel are neighbours.
enum class Layout : int8_t { planes, pixels };

struct Shape {
  int64_t n, c, h, w;
  int64_t hw() const { return h * w; }
  int64_t numel() const { return n * c * h * w; }
};

enum class Isa : int8_t { base, avx2, avx512, avx512bf16 };

// The best instruction set that this processor has and this build holds (FASTGAN_ISA=base|avx2|avx512 lowers it).
Isa isa();
const char* isa_name();

// The one to run values on that lie side by side in groups of `neighbours`: the best, or a narrower one whose vectors
// such a group fills where part of a vector costs many whole ones (a channels_last layer of 4 channels).
Isa isa_for(int64_t neighbours);

// Work is cut into items; a kernel does items [begin, end). Args says how many `neighbours()` it has. FASTGAN_KERNEL
// declares the kernel in every instruction set's namespace and defines the function that picks one.
#ifdef FASTGAN_X86
#define FASTGAN_KERNEL(name, Args)                             \
  namespace base {                                             \
  void name(const Args&, int64_t begin, int64_t end);          \
  }                                                            \
  namespace avx2 {                                             \
  void name(const Args&, int64_t begin, int64_t end);          \
  }                                                            \
  namespace avx512 {                                           \
  void name(const Args&, int64_t begin, int64_t end);          \
  }                                                            \
  namespace avx512bf16 {                                       \
  void name(const Args&, int64_t begin, int64_t end);          \
  }                                                            \
  inline void name(const Args& a, int64_t begin, int64_t end) { \
    switch (isa_for(a.neighbours())) {                         \
      case Isa::avx512bf16: return avx512bf16::name(a, begin, end); \
      case Isa::avx512: return avx512::name(a, begin, end);    \
      case Isa::avx2: return avx2::name(a, begin, end);        \
      default: return base::name(a, begin, end);               \
    }                                                          \
  }
#else
#define FASTGAN_KERNEL(name, Args)                              \
  namespace base {                                              \
  void name(const Args&, int64_t begin, int64_t end);           \
  }                                                             \
  inline void name(const Args& a, int64_t begin, int64_t end) { \
    base::name(a, begin, end);                                  \
  }
#endif

}  // namespace fastgan
