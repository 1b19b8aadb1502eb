#pragma once
#include "ptq/core/options.h"
#include "ptq/quant/scheme.h"

namespace ptq::estimator {

/// Reads the options bits, group_size and symmetric: the grid that weights are rounded to.  Throws
/// ConfigError if they are wrong.
QuantScheme scheme_option(Options& options);

}  // namespace ptq::estimator
