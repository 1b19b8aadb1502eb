#include "ptq/pipeline/sensitivity.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <ATen/ATen.h>

#include "estimator_set.h"
#include "estimator_sources.h"
#include "partial_directory.h"
#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/file.h"
#include "ptq/io/memory.h"
#include "score_files.h"
#include "validation.h"

namespace ptq {
namespace {

using detail::CalibrationSession;
using detail::EstimatorSet;
using detail::EstimatorSources;

/// `format` in every summary.json.
constexpr const char* kSummaryFormat = "ptq-sensitivity";

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The `count` highest of `scores`, float64 [channels], with their channels.
std::vector<std::pair<int64_t, double>> highest(const at::Tensor& scores, int64_t count) {
  const auto [values, channels] = scores.sort(/*stable=*/true, 0, /*descending=*/true);
  std::vector<std::pair<int64_t, double>> top;
  for (int64_t i = 0; i < std::min(count, scores.size(0)); ++i)
    top.emplace_back(channels[i].item<int64_t>(), values[i].item<double>());
  return top;
}

/// One run of `ptq sensitivity`.
class SensitivityRun {
 public:
  SensitivityRun(const SensitivityJob& job, ProgressListener& listener)
      : job_(job),
        listener_(listener),
        set_(job.estimators, job.plugin_options),
        session_(job.model, job.data, [&listener] { listener.poll(); }) {
    report_.warnings = session_.warnings;
    report_.calibration = session_.calibration;
    for (const std::string& warning : session_.warnings)
      listener.warning(warning);
    for (const EstimatorSet::Entry& entry : set_.entries)
      report_.estimators.push_back(
          {entry.label, entry.name, entry.estimator->unit(), entry.options, 0, {}, {}});
    if (job.validation.wanted()) {
      validation_.emplace(job_.validation, set_, job.data.request.files, job.model,
                          session_.input.model->config());
      for (const std::string& warning : validation_->warnings())
        listener.warning(warning);
    }
  }

  SensitivityReport run() {
    EstimatorSources sources({set_, session_, job_.plugin_options, job_.stats});
    detail::PartialDirectory partial(
        {job_.out, inputs(), "summary.json", kSummaryFormat, job_.overwrite}, identity(),
        job_.resume);
    try {
      return run_in(partial, sources);
    } catch (const std::exception& error) {
      partial.discard_after(error);
      throw;
    }
  }

 private:
  SensitivityReport run_in(detail::PartialDirectory& partial, EstimatorSources& sources) {
    const Clock::time_point start = Clock::now();
    sources.collect(partial.work() / "collected", listener_);
    take(sources.found());
    report_.collect_seconds = seconds_since(start);
    score(sources);
    if (validation_)
      report_.validation = validation_->run(*session_.input.model, partial.work(), listener_);
    std::vector<std::string> labels;
    for (const EstimatorSet::Entry& entry : set_.entries)
      labels.push_back(entry.label);
    detail::write_scores_csv(partial.work() / "scores.csv", labels, scores_);
    detail::write_scores_tensors(partial.work() / "scores.safetensors", scores_, weights_);
    report_.identity = session_.whole_identity();
    report_.peak_rss_bytes = peak_rss_bytes();
    report_.seconds = seconds_since(start);
    Json summary = report_.to_json();
    summary["format"] = kSummaryFormat;
    summary["tool"] = {{"name", "ptq"}, {"version", version()}};
    summary["command"] = job_.command;
    write_file_atomically(partial.work() / "summary.json", summary.dump(2) + "\n");
    partial.finish({"collected", detail::kValidationWork});
    return report_;
  }

  /// What an older output must not take with it when it is replaced.
  std::vector<std::filesystem::path> inputs() const {
    std::vector<std::filesystem::path> inputs = job_.data.request.files;
    inputs.insert(inputs.end(), {job_.model, job_.stats});
    const std::vector<std::filesystem::path>& heldout = job_.validation.heldout.files;
    inputs.insert(inputs.end(), heldout.begin(), heldout.end());
    return inputs;
  }

  /// What decides the output.
  Json identity() const {
    Json names = Json::object();
    for (const EstimatorSet::Entry& entry : set_.entries)
      names[entry.label] = {{"name", entry.name}, {"options", entry.options}};
    return {{"version", version()},
            {"cpu", cpu_level_name(cpu_level())},
            {"estimators", names},
            {"statistics", set_.statistic_options(job_.plugin_options)},
            {"sequences_per_set", session_.sequences_per_set},
            {"stats", job_.stats.string()},
            {"inputs", session_.whole_identity()},
            {"validation", validation_ ? validation_->identity() : Json()}};
  }

  /// The report's part that the collection or the store tells.
  void take(const EstimatorSources::Found& found) {
    report_.plan = found.plan;
    report_.counts = found.counts;
    report_.effective_tokens = found.effective_tokens;
    report_.mean_nll = found.mean_nll;
    report_.stats_bytes = found.stats_bytes;
    for (size_t i = 0; i < set_.entries.size(); ++i)
      for (const GradientProbe& own : set_.entries[i].estimator->probes())
        if (const auto nll = found.probe_nll.find(own.name); nll != found.probe_nll.end())
          report_.estimators[i].probe_nll = nll->second;
  }

  void score(EstimatorSources& sources) {
    listener_.begin("scoring", session_.input.model->config().blocks, 0);
    forward_sweep(*session_.input.model, [&](Block& block, int64_t index) {
      listener_.poll();
      for (const Stage& stage : block.stages())
        for (const Linear& linear : stage.linears)
          score_linear(linear, sources);
      listener_.step(index + 1, "block " + std::to_string(index));
    });
  }

  void score_linear(const Linear& linear, EstimatorSources& sources) {
    const SiteStats stats = sources.site_stats(linear.site());
    const SiteView view{linear.site(), linear.weight(), stats, at::kFloat};
    detail::LinearScores scores{linear.site().name, {}};
    std::vector<at::Tensor> in_order;
    for (size_t i = 0; i < set_.entries.size(); ++i) {
      const EstimatorSet::Entry& entry = set_.entries[i];
      const Clock::time_point start = Clock::now();
      const at::Tensor values = with_context(
          "scoring " + view.site.name + " by " + entry.label,
          [&] { return entry.estimator->channel_scores(view).to(at::kDouble).contiguous(); });
      if (job_.per_weight)
        if (const at::Tensor all = entry.estimator->weight_scores(view); all.defined())
          weights_[view.site.name + "." + entry.label + ".weight"] = all.to(at::kFloat);
      report_.estimators[i].sites.push_back(
          {view.site.name, values.size(0), summarize_scores(values), highest(values, job_.top)});
      report_.estimators[i].seconds += seconds_since(start);
      scores.by_label[entry.label] = values;
      in_order.push_back(values);
    }
    if (validation_) validation_->observe(view, in_order);
    scores_.push_back(std::move(scores));
  }

  const SensitivityJob& job_;
  ProgressListener& listener_;
  EstimatorSet set_;
  CalibrationSession session_;
  std::optional<detail::Validation> validation_;
  SensitivityReport report_;
  std::vector<detail::LinearScores> scores_;
  std::map<std::string, at::Tensor> weights_;
};

}  // namespace

SensitivityReport score_sensitivity(const SensitivityJob& job, ProgressListener& listener) {
  return SensitivityRun(job, listener).run();
}

}  // namespace ptq
