#include "tables.h"

namespace ptq::backend {

const KernelTable& kernel_table() {
  static const KernelTable kTable = base_table();
  return kTable;
}

}  // namespace ptq::backend
