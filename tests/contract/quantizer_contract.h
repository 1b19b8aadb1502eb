#pragma once
#include <string>
#include <vector>

#include "ptq/quantizers/quantizer.h"

namespace ptq {

/// What every quantizer promises, whatever its method.  Returns the promises it breaks, each with
/// the scheme; empty: none.
std::vector<std::string> broken_promises(const Quantizer& quantizer);

}  // namespace ptq
