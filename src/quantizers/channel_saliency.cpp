#include "channel_saliency.h"

#include <algorithm>
#include <map>

#include <ATen/ATen.h>

#include "ptq/calib/collector.h"
#include "ptq/core/error.h"

namespace ptq::quantizer {
namespace {

struct Reader {
  std::string estimator;
  Json options;
};

/// The estimators that only average a statistic, by its name.
const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> kReaders = {
      {"mean-magnitude", {"activation-magnitude", Json::object()}},
      {"mean-square", {"covariance", Json::object()}},
      {"token-energy", {"gradient-weighted", {{"reading", "token"}}}},
      {"sequence-energy", {"gradient-weighted", {{"reading", "sequence"}}}}};
  return kReaders;
}

bool known(const std::string& estimator) {
  const std::vector<std::string> all = estimators().names();
  return std::find(all.begin(), all.end(), estimator) != all.end();
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : "|") + name;
  return text;
}

}  // namespace

std::vector<std::string> ChannelSaliency::names() {
  std::vector<std::string> names;
  for (const auto& entry : readers())
    names.push_back(entry.first);
  for (const std::string& name : estimators().names())
    if (estimators().make(name)->probes().empty()) names.push_back(name);
  return names;
}

ChannelSaliency::ChannelSaliency(const std::string& name, const Json& options) {
  const auto reader = readers().find(name);
  if (reader == readers().end() && !known(name))
    throw ConfigError("unknown saliency \"" + name + "\"", "one of " + listed(names()));
  if (!options.is_object())
    throw ConfigError("saliency " + name + ": its options are no JSON object: " + options.dump(),
                      "for example {\"damping\":0.1}");
  Json values = reader == readers().end() ? Json::object() : reader->second.options;
  values.update(options);
  estimator_ =
      estimators().make(reader == readers().end() ? name : reader->second.estimator, values);
  if (!estimator_->probes().empty())
    throw ConfigError("saliency " + name + ": the estimator reads gradients at other weights, " +
                          "which neither the calibration sweep nor a store of statistics has",
                      "one of " + listed(names()));
  for (const std::string& statistic : estimator_->statistics())
    (statistics().make(statistic)->needs_gradients() ? stored_statistics_ : block_statistics_)
        .push_back(statistic);
}

int64_t ChannelSaliency::bytes(const LinearSite& site) const {
  const int64_t stored = StatisticSet(stored_statistics_).bytes({site});
  const int64_t read = stored + StatisticSet(block_statistics_).bytes({site});
  // Estimators turn what they read into float64 and make no more than two such things of it.
  return stored + 2 * 2 * read;
}

at::Tensor ChannelSaliency::of(const BlockContext& context, size_t index) const {
  const std::vector<Linear>& linears = context.block.stages()[index].linears;
  at::Tensor sum;
  for (const Linear& linear : linears) {
    const LinearSite& site = linear.site();
    SiteStats stats = context.stats[index];
    if (!stored_statistics_.empty()) {
      stats = context.stored_stats(site);
      for (const std::string& name : block_statistics_)
        stats.set(name, context.stats[index].all().at(name));
    }
    const at::Tensor weight = linear.weight().cpu();
    const at::Tensor scores =
        estimator_->channel_scores({site, weight, stats, context.stored(site.name + ".weight")});
    sum = sum.defined() ? sum + scores : scores;
  }
  return (sum / static_cast<double>(linears.size()))
      .pow(1.0 / static_cast<double>(estimator_->degree()));
}

}  // namespace ptq::quantizer
