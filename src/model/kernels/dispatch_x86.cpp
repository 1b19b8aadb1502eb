#include "dispatch.h"
#include "ptq/core/cpu.h"
#include "tables.h"

namespace ptq::kernels {

std::vector<Table> runnable_tables() {
  std::vector<Table> found{base_table()};
  if (cpu_level() >= CpuLevel::kAvx2) found.push_back(avx2_table());
  if (cpu_level() >= CpuLevel::kAvx512) found.push_back(avx512_table());
  return found;
}

const Table& table() {
  static const Table kTable = runnable_tables().back();
  return kTable;
}

}  // namespace ptq::kernels
