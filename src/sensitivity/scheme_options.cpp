#include "scheme_options.h"

namespace ptq::estimator {

QuantScheme scheme_option(Options& options) {
  QuantScheme scheme;
  scheme.bits = options.get_in("bits", 4, 2, 8, "bits of a rounded weight, 2 ... 8");
  // 64, not the 128 of a job: it divides the widths of small models, too.
  scheme.group_size = options.get<int64_t>(
      "group_size", 64, "inputs that share a scale: a divisor of every input width; -1: the row");
  scheme.symmetric = options.get("symmetric", true, "whether the grids have no zero point");
  scheme.check();
  return scheme;
}

}  // namespace ptq::estimator
