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

const char* isa_name() {
  switch (isa()) {
    case Isa::avx512: return "avx512";
    case Isa::avx2: return "avx2";
    default: return "base";
  }
}

}  // namespace fastgan
