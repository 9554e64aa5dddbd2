// The Python module: facts about this build. Nothing numeric is here; importing it registers the ops.
#include <pybind11/pybind11.h>

#include "cpu/kernel.h"

#define FASTGAN_STRING_(x) #x
#define FASTGAN_STRING(x) FASTGAN_STRING_(x)

PYBIND11_MODULE(_C, m) {
  m.doc() = "fastgan's compiled ops; see fastgan.ops.";
  m.def("build_info", [] {
    pybind11::dict facts;
    facts["compiler"] = __VERSION__;
    facts["isa"] = fastgan::isa_name();
#ifdef FASTGAN_X86
    facts["isa_built"] = "avx512bf16 avx512 avx2 base";
#else
    facts["isa_built"] = "base";
#endif
    facts["pybind11"] = FASTGAN_STRING(PYBIND11_VERSION_MAJOR) "." FASTGAN_STRING(PYBIND11_VERSION_MINOR);
    facts["built_with_torch"] = FASTGAN_BUILT_WITH_TORCH;
    return facts;
  });
}
