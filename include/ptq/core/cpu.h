#pragma once
#include <utility>

namespace ptq {

/// Instruction sets that hand-written kernels are compiled for, in rising order.
enum class CpuLevel {
  kBaseline,  ///< what the compiler was told to assume
  kAvx2,      ///< x86-64-v3: AVX2, FMA, F16C
  kAvx512,    ///< x86-64-v4: AVX-512 F, BW, CD, DQ, VL
};

/// The highest level of this machine; the environment variable PTQ_CPU_ISA (baseline, avx2 or
/// avx512), read once, can only lower it.  Throws ConfigError if the variable holds another value.
CpuLevel cpu_level();

/// "baseline", "avx2" or "avx512".
const char* cpu_level_name(CpuLevel level);

namespace detail {
// One entry per instruction set.  Kernel::run must be always_inline, so that its body is compiled
// with the entry's instructions.
template <class Kernel, class... Args>
void run_baseline(Args&&... args) {
  Kernel::template run<4>(std::forward<Args>(args)...);
}
#if defined(__x86_64__)
template <class Kernel, class... Args>
[[gnu::target("arch=x86-64-v3")]] void run_avx2(Args&&... args) {
  Kernel::template run<8>(std::forward<Args>(args)...);
}
template <class Kernel, class... Args>
[[gnu::target("arch=x86-64-v4")]] void run_avx512(Args&&... args) {
  Kernel::template run<16>(std::forward<Args>(args)...);
}
#endif
}  // namespace detail

/// Calls `Kernel::run<W>(args…)` compiled for this machine, W being the float32 lanes of one
/// register (16, 8 or 4).  Kernel::run is a static always_inline function template; the functions
/// it calls are inlined or work with any instruction set.
template <class Kernel, class... Args>
void run_on_cpu(Args&&... args) {
#if defined(__x86_64__)
  switch (cpu_level()) {
    case CpuLevel::kAvx512:
      return detail::run_avx512<Kernel>(std::forward<Args>(args)...);
    case CpuLevel::kAvx2:
      return detail::run_avx2<Kernel>(std::forward<Args>(args)...);
    case CpuLevel::kBaseline:
      break;
  }
#endif
  detail::run_baseline<Kernel>(std::forward<Args>(args)...);
}

}  // namespace ptq
