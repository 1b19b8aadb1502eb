#include "ptq/backends/selection.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {

WeightShape shape_of(const QuantizedTensor& weight, const SparseWeight* sparse) {
  const int64_t in = weight.in_features();
  const bool permuted = !weight.group_of.equal(contiguous_groups(weight.scheme, in));
  const bool has_values = sparse != nullptr && sparse->count() > 0;
  return {weight.scheme, weight.out_features(), in, permuted, has_values};
}

namespace {

/// Throws ConfigError for settings of a backend that is not in `names`.
void check_settings(const Json& settings, const std::vector<std::string>& names) {
  for (const auto& item : settings.items()) {
    backends().options(item.key());  // throws for an unknown name
    if (std::find(names.begin(), names.end(), item.key()) == names.end())
      throw ConfigError("options of backend " + item.key() + ", which is not asked for",
                        "use --backend " + item.key());
  }
}

}  // namespace

BackendSelection::BackendSelection(const std::string& request, const Json& settings)
    : hint_(request == "auto" ? "" : "use --backend auto") {
  const std::vector<std::string> names =
      request == "auto" ? backends().names() : std::vector<std::string>{request};
  check_settings(settings, names);
  for (const std::string& name : names) {
    NamedBackend candidate{name, backends().make(name, settings.value(name, Json::object()))};
    if (const auto reason = candidate.backend->unavailable())
      left_out_.push_back(name + ": " + *reason);
    else
      candidates_.push_back(std::move(candidate));
  }
  if (candidates_.empty()) throw UnsupportedError("backend " + left_out_.front(), hint_);
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [](const NamedBackend& a, const NamedBackend& b) {
                     return a.backend->priority() > b.backend->priority();
                   });
}

std::vector<NamedBackend> BackendSelection::takers(const WeightShape& weight) const {
  std::vector<NamedBackend> takers;
  std::string reasons;
  for (const NamedBackend& candidate : candidates_) {
    const auto reason = candidate.backend->unsupported(weight);
    if (!reason)
      takers.push_back(candidate);
    else
      reasons += (reasons.empty() ? "" : "; ") + candidate.name + ": " + *reason;
  }
  if (takers.empty())
    throw UnsupportedError("no backend takes a weight of " + weight.scheme.name() + ": " + reasons,
                           hint_);
  return takers;
}

}  // namespace ptq
