#include "ptq/core/cpu.h"
#include "tables.h"

namespace ptq::backend {

const KernelTable& kernel_table() {
  static const KernelTable kTable = [] {
    switch (cpu_level()) {
      case CpuLevel::kAvx512:
        return avx512_table();
      case CpuLevel::kAvx2:
        return avx2_table();
      case CpuLevel::kBaseline:
        break;
    }
    return base_table();
  }();
  return kTable;
}

}  // namespace ptq::backend
