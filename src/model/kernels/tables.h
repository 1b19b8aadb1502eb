#pragma once
#include "table.h"

namespace ptq::kernels {

/// One per file compiled for an instruction set; call only where the machine has it.
Table base_table();
Table avx2_table();    ///< x86-64-v3
Table avx512_table();  ///< x86-64-v4

}  // namespace ptq::kernels
