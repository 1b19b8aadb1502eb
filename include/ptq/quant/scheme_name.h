#pragma once
#include <string>

#include "ptq/quant/scheme.h"

namespace ptq {

/// The scheme that QuantScheme::name calls "w4g64", "w3g128-asym", "w8-channel" or
/// "w3-lookup".  Throws ConfigError for another form or a scheme out of range.
QuantScheme parse_scheme_name(const std::string& name);

}  // namespace ptq
