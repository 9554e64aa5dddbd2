#include <cstdlib>
#include <cstring>

#include "cpu/kernel.h"

namespace fastgan {
namespace {

Isa detect() {
  Isa best = Isa::base;
#ifdef FASTGAN_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    best = Isa::avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      best = Isa::avx512;
  }
  if (const char* wanted = std::getenv("FASTGAN_ISA")) {
    if (std::strcmp(wanted, "base") == 0) return Isa::base;
    if (std::strcmp(wanted, "avx2") == 0 && best == Isa::avx512) return Isa::avx2;
  }
#endif
  return best;
}

}  // namespace

Isa isa() {
  static const Isa chosen = detect();
  return chosen;
}

Isa isa_for(int64_t neighbours) {
  const bool narrow = neighbours < 256;
  if (narrow && isa() == Isa::avx512 && neighbours % 16 && neighbours % 8 == 0) return Isa::avx2;
  if (narrow && isa() != Isa::base && neighbours % 8 && neighbours % 4 == 0) return Isa::base;
  return isa();
}

const char* isa_name() {
  switch (isa()) {
    case Isa::avx512: return "avx512";
    case Isa::avx2: return "avx2";
    default: return "base";
  }
}

}  // namespace fastgan
