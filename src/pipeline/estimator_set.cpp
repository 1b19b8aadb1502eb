#include "estimator_set.h"

#include <algorithm>
#include <set>

#include "ptq/core/error.h"

namespace ptq::detail {

EstimatorSet::EstimatorSet(const std::vector<std::string>& wanted, const Json& options,
                           const std::vector<std::string>& further) {
  if (wanted.empty())
    throw ConfigError("no estimator is named", "--estimator NAME[,NAME…]; see ptq list");
  std::set<std::string> known, needed(further.begin(), further.end());
  for (const std::string& text : wanted) {
    const size_t equals = text.find('=');
    Entry entry;
    entry.label = text.substr(0, equals);
    entry.name = equals == std::string::npos ? text : text.substr(equals + 1);
    if (entry.label.empty() || entry.label.find('.') != std::string::npos)
      throw ConfigError("the label of --estimator " + text + " is empty or holds a dot");
    if (!known.insert(entry.label).second)
      throw ConfigError("--estimator " + entry.label + " is given twice",
                        "give one a label of its own: label=" + entry.name);
    const Json values = options.value(entry.label, Json::object());
    entry.estimator = estimators().make(entry.name, values);
    for (const OptionInfo& option : estimators().options(entry.name))
      entry.options[option.key] = values.value(option.key, option.fallback);
    for (const std::string& statistic : entry.estimator->statistics())
      needed.insert(statistic);
    for (GradientProbe& probe : entry.estimator->probes())
      probes.emplace(probe.name, std::move(probe));
    entries.push_back(std::move(entry));
  }
  statistics.assign(needed.begin(), needed.end());
  for (const auto& item : options.items())
    if (!known.count(item.key()) && !needed.count(item.key()))
      throw ConfigError("--set " + item.key() + ".…: this run uses no plug-in of that name",
                        "see ptq list");
}

Json EstimatorSet::statistic_options(const Json& options) const {
  Json chosen = Json::object();
  for (const std::string& name : statistics) {
    const bool label = std::any_of(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.label == name; });
    if (!label && options.contains(name)) chosen[name] = options.at(name);
  }
  return chosen;
}

}  // namespace ptq::detail
