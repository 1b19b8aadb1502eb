#include "ptq/core/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ptq/core/error.h"

namespace ptq {
namespace {

CpuLevel machine_level() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2"))
    return CpuLevel::kBaseline;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? CpuLevel::kAvx512 : CpuLevel::kAvx2;
#else
  return CpuLevel::kBaseline;
#endif
}

CpuLevel allowed_level() {
  const char* wanted = std::getenv("PTQ_CPU_ISA");
  if (wanted == nullptr || *wanted == '\0') return CpuLevel::kAvx512;
  for (const CpuLevel level : {CpuLevel::kBaseline, CpuLevel::kAvx2, CpuLevel::kAvx512})
    if (std::string(wanted) == cpu_level_name(level)) return level;
  throw ConfigError("PTQ_CPU_ISA is \"" + std::string(wanted) + "\"",
                    "it may be baseline, avx2 or avx512");
}

}  // namespace

CpuLevel cpu_level() {
  static const CpuLevel level = std::min(machine_level(), allowed_level());
  return level;
}

const char* cpu_level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::kAvx512:
      return "avx512";
    case CpuLevel::kAvx2:
      return "avx2";
    case CpuLevel::kBaseline:
      break;
  }
  return "baseline";
}

}  // namespace ptq
