#pragma once
#include "table.h"

namespace ptq::backend {

/// One per file compiled for an instruction set; call only where the machine has it.
KernelTable base_table();
KernelTable avx2_table();    ///< x86-64-v3
KernelTable avx512_table();  ///< x86-64-v4

}  // namespace ptq::backend
