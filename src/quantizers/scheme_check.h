#pragma once
#include "ptq/model/site.h"
#include "ptq/quant/scheme.h"

namespace ptq::quantizer {

/// Throws ConfigError for an impossible scheme, UnsupportedError unless the group size divides the
/// site's input width.
void require_whole_groups(const LinearSite& site, const QuantScheme& scheme);

}  // namespace ptq::quantizer
