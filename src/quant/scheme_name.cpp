#include "ptq/quant/scheme_name.h"

#include <algorithm>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// The number made of digits at `at`, which is moved behind them; -1 for none or too many.
int64_t read_number(const std::string& text, size_t& at) {
  constexpr size_t kMostDigits = 9;
  const size_t begin = at;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9')
    ++at;
  if (at == begin || at - begin > kMostDigits) return -1;
  return std::stoll(text.substr(begin, at - begin));
}

}  // namespace

QuantScheme parse_scheme_name(const std::string& name) {
  constexpr const char* kChannel = "-channel";
  constexpr const char* kAsymmetric = "-asym";
  constexpr const char* kLookup = "-lookup";
  QuantScheme scheme;
  size_t at = std::min<size_t>(1, name.size());
  scheme.bits = static_cast<int>(read_number(name, at));
  if (name.compare(at, std::string(kChannel).size(), kChannel) == 0) {
    at += std::string(kChannel).size();
    scheme.group_size = -1;
  } else if (name.compare(at, std::string::npos, kLookup) == 0) {
    at = name.size();
    scheme.group_size = -1;
    scheme.lookup = true;
  } else if (name.compare(at, 1, "g") == 0) {
    scheme.group_size = std::max<int64_t>(0, read_number(name, ++at));
  } else {
    at = std::string::npos;
  }
  const std::string rest = at == std::string::npos ? "?" : name.substr(at);
  scheme.symmetric = rest.empty();
  // What does not come back as it was is no name: leading zeros, too many digits.
  if (name.substr(0, 1) != "w" || (!rest.empty() && rest != kAsymmetric) || scheme.name() != name)
    throw ConfigError("\"" + name + "\" is not the name of a scheme",
                      "write w4g64, w3g128-asym, w8-channel or w3-lookup");
  scheme.check();
  return scheme;
}

}  // namespace ptq
