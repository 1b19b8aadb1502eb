#include "settings.h"

#include <algorithm>
#include <sstream>

#include "ptq/core/error.h"
#include "weight_ranking.h"

namespace ptq::detail {
namespace {

/// The numbers of a list "0,0.5,1", or a number alone; throws ConfigError naming `key` for what is
/// none.
template <class T>
std::vector<T> numbers(const std::string& key, const Json& list) {
  std::vector<T> values;
  std::istringstream parts(list.is_string() ? list.get<std::string>() : list.dump());
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream text(part);
    T value{};
    if (!(text >> value) || text.peek() != std::istringstream::traits_type::eof())
      throw ConfigError(key + ": \"" + part + "\" is no number",
                        "write numbers with commas between");
    values.push_back(value);
  }
  return values;
}

template <class T>
bool has_twice(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

}  // namespace

bool RequantSettings::weighs() const {
  return *std::max_element(exponents.begin(), exponents.end()) > 0;
}

RequantSettings RequantSettings::read(Options& options) {
  RequantSettings settings;
  settings.base =
      options.get_choice("base", "gptq", quantizers().names(), "the quantizer of the dense part");
  settings.outliers =
      options.get_in("outliers", 0.25, 0.0, 5.0,
                     "largest weights that are left out before it runs, percent of all");
  settings.significant =
      options.get_in("significant", 0.25, 0.0, 5.0,
                     "weights that are put back after it by the ranking, percent of all");
  settings.steps = options.get_in<int64_t>(
      "steps", 2, 1, 64,
      "equal parts in which they are found, each on the model as it then stands");
  settings.requantize = options.get<bool>(
      "requantize", true,
      "whether the base runs once more with the significant weights left out too, so that it "
      "balances the errors of those that are left; false: its codes stay as they are");
  settings.ranking = options.get_choice(
      "ranking", "fisher-error", weight_ranking_names(),
      "which come first: |change times gradient| integrated on the way to the rounded weights or "
      "at its end, with the sign or without; squared gradients, alone or times the squared change; "
      "controls");
  settings.per_tensor =
      options.get_choice("scope", "global", {"global", "tensor"},
                         "whether they compete in the whole model or within their linear") ==
      "tensor";
  settings.nodes = options.get_in<int64_t>(
      "nodes", 4, 1, 256, "gradients of an integral, Gauss-Legendre, each one reverse sweep");
  settings.exponents = numbers<double>(
      "exponents",
      options.get<Json>("exponents", "1",
                        "a linear's share of the outliers goes with this power of its mean "
                        "|integral|; 0: all the same; of several, with commas, the one with "
                        "the least loss on the windows held back"));
  settings.held_back =
      options.get_in<int64_t>("held_back", 4, 1, 1 << 20,
                              "of the calibration windows the last so many, for that choice alone");
  settings.gradient_windows = options.get_in<int64_t>(
      "gradient_windows", 32, 0, 1 << 20, "of the others the first so many, for gradients; 0: all");
  settings.target_bpw = options.get_in(
      "target_bpw", 0.0, 0.0, 16.0,
      "bits a weight of dense and sparse part together: what the dense one leaves goes to outliers "
      "and significant weights in the proportion given; 0: as they come");
  settings.group_sizes = numbers<int64_t>(
      "group_sizes", options.get<Json>("group_sizes", "",
                                       "with target_bpw: group sizes to choose from as the "
                                       "exponents; empty: --group-size"));
  settings.seed = options.get_in<uint64_t>("seed", 0, 0, uint64_t{1} << 62, "of ranking=random");
  if (settings.exponents.empty()) throw ConfigError("requant.exponents is empty", "write 0");
  for (const double exponent : settings.exponents)
    if (!(exponent >= 0 && exponent <= 8))
      throw ConfigError("requant.exponents: each must be in [0, 8]");
  if (has_twice(settings.exponents) || has_twice(settings.group_sizes))
    throw ConfigError("requant.exponents and requant.group_sizes: each value once");
  if (!settings.group_sizes.empty() && settings.target_bpw == 0)
    throw ConfigError("requant.group_sizes: without a budget the finest group always wins",
                      "give requant.target_bpw, or one --group-size");
  return settings;
}

std::unique_ptr<Quantizer> RequantSettings::make_base(const Json& options) const {
  return quantizers().make(base, options.value(base, Json::object()));
}

}  // namespace ptq::detail
