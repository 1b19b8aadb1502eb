#include "dispatch.h"
#include "tables.h"

namespace ptq::kernels {

std::vector<Table> runnable_tables() {
  return {base_table()};
}

const Table& table() {
  static const Table kTable = base_table();
  return kTable;
}

}  // namespace ptq::kernels
