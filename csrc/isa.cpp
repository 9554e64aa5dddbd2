#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cpu/kernel.h"

namespace fastgan {
namespace {

constexpr const char* kNames[] = {"base", "avx2", "avx512", "avx512bf16"};  // by Isa

Isa best() {
#ifdef FASTGAN_X86
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
    return Isa::base;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512cd") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return Isa::avx2;
  return __builtin_cpu_supports("avx512bf16") ? Isa::avx512bf16 : Isa::avx512;
#else
  return Isa::base;
#endif
}

Isa wanted() {
  const char* name = std::getenv("FASTGAN_ISA");
  for (Isa isa : {Isa::base, Isa::avx2, Isa::avx512})
    if (name && std::strcmp(name, kNames[static_cast<int>(isa)]) == 0) return isa;
  return Isa::avx512bf16;
}

}  // namespace

Isa isa() {
  static const Isa chosen = std::min(best(), wanted());
  return chosen;
}

Isa isa_for(int64_t neighbours) {
  // Under a mask, part of an AVX-512 vector costs what a whole one does; narrower sets have to copy it.
  if (isa() == Isa::avx2 && neighbours < 256 && neighbours % 8 && neighbours % 4 == 0) return Isa::base;
  return isa();
}

const char* isa_name() { return kNames[static_cast<int>(isa())]; }

}  // namespace fastgan
