#pragma once
#include <vector>

#include "table.h"

namespace ptq::kernels {

/// The kernels of the best instruction set this machine has, chosen once.
const Table& table();

/// Every table this machine runs, slowest first: for tests.
std::vector<Table> runnable_tables();

}  // namespace ptq::kernels
