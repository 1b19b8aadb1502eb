#include "ptq/pipeline/mixed_precision.h"

#include <algorithm>
#include <cmath>

#include "estimator_sources.h"
#include "partial_directory.h"
#include "plan_items.h"
#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/pipeline/scheme_plan.h"
#include "ptq/report/table.h"
#include "ptq/sensitivity/allocation.h"
#include "scheme_costs.h"

namespace ptq {
namespace {

using detail::CalibrationSession;
using detail::EstimatorSet;
using detail::EstimatorSources;
using detail::PlanItem;
using detail::PlanItems;

bool is_plan(const std::filesystem::path& file) {
  try {
    const Json json = read_json_file(file);
    return json.is_object() && json.value("format", Json()) == kSchemePlanFormat;
  } catch (const Error&) {
    return false;
  }
}

/// Throws ConfigError unless `job.out` may be written: its folder is there, and it is absent, or an
/// older plan that may be replaced.
void check_out(const MixedPrecisionJob& job) {
  const std::filesystem::path folder = job.out.parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw ConfigError("the folder of the output " + job.out.string() + " does not exist",
                      "make it, or name another output");
  if (!std::filesystem::exists(std::filesystem::symlink_status(job.out))) return;
  if (!job.overwrite)
    throw ConfigError("the output " + job.out.string() + " exists",
                      "--overwrite replaces it, or name another output");
  if (!is_plan(job.out))
    throw ConfigError("the output " + job.out.string() + " is no plan, so it is not replaced",
                      "name another output");
}

/// The plugin options without those of the trial's method.
Json estimator_options(const MixedPrecisionJob& job) {
  Json options = job.plugin_options;
  options.erase(job.trial);
  return options;
}

/// One run of `ptq plan`.
class MixedPrecisionRun {
 public:
  MixedPrecisionRun(const MixedPrecisionJob& job, ProgressListener& listener)
      : job_(job),
        listener_(listener),
        trial_(job.trial, job.plugin_options.value(job.trial, Json::object()), job.candidates),
        set_({job.estimator}, estimator_options(job), trial_.statistics()),
        costs_(set_.entries.front(), trial_),
        session_(job.model, job.data, [&listener] { listener.poll(); }),
        items_(job, session_) {
    plan_.warnings = session_.warnings;
    plan_.warnings.insert(plan_.warnings.end(), items_.warnings().begin(), items_.warnings().end());
    for (const std::string& warning : plan_.warnings)
      listener.warning(warning);
  }

  MixedPrecisionPlan run() {
    items_.require_budget();
    EstimatorSources sources({set_, session_, job_.plugin_options, job_.stats});
    if (sources.collects())
      collect(sources);
    else
      decide(sources);
    return plan_;
  }

 private:
  void decide(EstimatorSources& sources) {
    weigh(sources);
    choose();
    describe();
    write_file_atomically(job_.out, plan_.to_json().dump(2) + "\n");
  }

  /// Statistics lie beside the plan until it is written.
  void collect(EstimatorSources& sources) {
    const std::filesystem::path work = job_.out.string() + ".statistics";
    std::vector<std::filesystem::path> inputs = job_.data.request.files;
    inputs.push_back(job_.model);
    detail::PartialDirectory partial({work, inputs, kIdentityFile, "", job_.overwrite}, identity(),
                                     job_.resume);
    try {
      sources.collect(partial.work() / "collected", listener_);
      decide(sources);
    } catch (const std::exception& error) {
      partial.discard_after(error);
      throw;
    }
    partial.discard();
  }

  at::ScalarType dtype_of(const LinearSite& site) const {
    return session_.input.checkpoint->entry(site.name + ".weight").dtype;
  }

  /// What decides the statistics.
  Json identity() const {
    return {{"version", version()},
            {"cpu", cpu_level_name(cpu_level())},
            {"estimator", estimator_json()},
            {"read", set_.statistics},
            {"statistics", set_.statistic_options(job_.plugin_options)},
            {"sequences_per_set", session_.sequences_per_set},
            {"inputs", session_.whole_identity()}};
  }

  Json estimator_json() const {
    const EstimatorSet::Entry& entry = set_.entries.front();
    return {{"name", entry.name}, {"label", entry.label}, {"options", entry.options}};
  }

  /// Asks the estimator, linear by linear, one block in memory.
  void weigh(EstimatorSources& sources) {
    listener_.begin("weighing", session_.input.model->config().blocks, 0);
    forward_sweep(*session_.input.model, [&](Block& block, int64_t index) {
      listener_.poll();
      for (const Stage& stage : block.stages())
        for (const Linear& linear : stage.linears)
          if (PlanItem* item = items_.item_of(linear.site().name)) {
            const SiteStats stats = sources.site_stats(linear.site());
            const SiteView view{linear.site(), linear.weight(), stats, dtype_of(linear.site())};
            item->add(linear.site(), costs_.of(view, item->schemes()));
          }
      listener_.step(index + 1, "block " + std::to_string(index));
    });
    plan_.calibration = session_.calibration;
    if (!job_.stats.empty())
      plan_.calibration = {{"statistics", job_.stats.string()}, {"store", sources.found().store}};
  }

  void choose() {
    std::vector<std::vector<StorageOption>> options;
    for (const PlanItem& item : items_.items())
      options.push_back(item.options());
    // There is one: require_budget has looked.
    const Allocation allocation = allocate(options, items_.budget()).value();
    plan_.price = allocation.price;
    plan_.bound = allocation.bound;
    plan_.exact = allocation.exact;
    plan_.predicted = costs_.predicted();
    plan_.total = items_.total(allocation.choice);
    plan_.uniform = items_.uniform();
    plan_.rows = items_.rows(allocation.choice);
    items_.require_loads(plan_.rows);
    for (const MixedPrecisionPlan::Row& row : plan_.rows)
      for (const MixedPrecisionPlan::Cost& cost : row.costs)
        plan_.negative += cost.cost < 0 ? 1 : 0;
    if (plan_.negative > 0)
      warn(std::to_string(plan_.negative) +
           " predicted changes are negative: rounding is not expected to help, so they count by "
           "their magnitude");
    if (trial_.fallbacks() > 0)
      warn(std::to_string(trial_.fallbacks()) + " fallbacks of " + job_.trial + " in the trials");
    if (!plan_.predicted)
      warn("estimator " + set_.entries.front().name +
           " predicts no change of the loss: the costs are score times squared error, without a "
           "unit");
  }

  void describe() {
    plan_.left = items_.left();
    plan_.excluded = items_.excluded();
    plan_.engines = items_.engines(plan_.rows);
    plan_.inputs = session_.whole_identity();
    Json names = Json::array();
    for (const QuantScheme& scheme : job_.candidates)
      names.push_back(scheme.name());
    Json estimator = estimator_json();
    estimator["unit"] = set_.entries.front().estimator->unit();
    plan_.settings = {
        {"estimator", estimator},
        {"statistics", set_.statistic_options(job_.plugin_options)},
        {"candidates", names},
        {"trial", job_.trial.empty() ? Json() : Json(job_.trial)},
        {"trial_options", job_.plugin_options.value(job_.trial, Json::object())},
        {"target_bits_per_weight", job_.target_bits > 0 ? Json(job_.target_bits) : Json()},
        {"target_bytes", job_.target_bytes > 0 ? Json(job_.target_bytes) : Json()},
        {"format", job_.format},
        {"engine", job_.engine.empty() ? Json() : Json(job_.engine)},
        {"tied", !job_.untie},
        {"skip", job_.skip}};
    plan_.command = job_.command;
  }

  void warn(const std::string& line) {
    plan_.warnings.push_back(line);
    listener_.warning(line);
  }

  const MixedPrecisionJob& job_;
  ProgressListener& listener_;
  detail::SchemeTrial trial_;
  EstimatorSet set_;
  detail::SchemeCosts costs_;
  CalibrationSession session_;
  PlanItems items_;
  MixedPrecisionPlan plan_;
};

}  // namespace

void MixedPrecisionJob::check() const {
  if ((target_bits > 0) == (target_bytes > 0))
    throw ConfigError("a plan needs one budget", "--target-bpw BITS or --target-size SIZE");
  if (candidates.empty())
    throw ConfigError("a plan needs candidates", "for example --candidates w3g64,w4g64");
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].check();
    for (size_t j = 0; j < i; ++j)
      if (candidates[i] == candidates[j])
        throw ConfigError("candidate " + candidates[i].name() + " is given twice");
  }
}

MixedPrecisionPlan plan_mixed_precision(const MixedPrecisionJob& job, ProgressListener& listener) {
  job.check();
  check_out(job);
  if (!job.stats.empty() && !job.data.request.files.empty())
    throw ConfigError("--stats and --calibration exclude each other",
                      "the statistics were collected over a text already");
  return MixedPrecisionRun(job, listener).run();
}

}  // namespace ptq
