#include "scheme_check.h"

#include <string>

#include "ptq/core/error.h"

namespace ptq::quantizer {

void require_whole_groups(const LinearSite& site, const QuantScheme& scheme) {
  scheme.check();
  const int64_t length = scheme.group_length(site.in_features);
  if (site.in_features % length == 0) return;
  throw UnsupportedError(site.name + ": group size " + std::to_string(length) +
                             " does not divide the input width " + std::to_string(site.in_features),
                         "choose a divisor of the input width, or -1 for one group a row");
}

}  // namespace ptq::quantizer
