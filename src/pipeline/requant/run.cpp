#include "run.h"

#include <algorithm>
#include <chrono>

#include <ATen/ATen.h>

#include "../scheme_trial.h"
#include "outlier_shares.h"
#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/memory.h"
#include "ptq/quantizers/quantizer.h"
#include "run_memory.h"
#include "run_parts.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

/// In the partial directory: what only a resumed run needs.
constexpr const char* kRuns = "runs";

CalibrationData data_of(const RequantSettings& settings, const QuantizeJob& job) {
  if (job.calibration.files.empty())
    throw ConfigError("method " + job.method + " needs calibration data",
                      "name a text with --calibration FILE");
  for (const auto& item : job.plugin_options.items())
    if (item.key() != job.method && item.key() != settings.base && item.key() != job.format)
      throw ConfigError("--set " + item.key() + ".…: this run uses no plug-in of that name",
                        "it uses " + job.method + ", " + settings.base + " and " + job.format);
  CalibrationData data;
  data.request = job.calibration;
  return data;
}

/// Moves what is in `from` to `to`; goes on with what an interrupted run left.
void move_files(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(from))
    files.push_back(entry.path());
  for (const fs::path& file : files)
    fs::rename(file, to / file.filename());
}

}  // namespace

RequantRun::RequantRun(const RequantSettings& settings, const QuantizeJob& job,
                       ProgressListener& listener)
    : settings_(settings),
      job_(job),
      listener_(listener),
      session_(
          job.model, data_of(settings, job), [&listener] { listener.poll(); }, job.device),
      ranking_(weight_ranking(settings.ranking, settings.nodes)) {
  for (const std::string& warning : session_.warnings)
    listener.warning(warning);
  if (!settings.group_sizes.empty() && job.plan.decided)
    throw ConfigError("requant.group_sizes: a plan has decided on every linear's group",
                      "leave one of them out");
  const auto base = settings.make_base(job.plugin_options);
  prepares_ = base->prepares_blocks();
  gradients_ = gradient_statistics(*base);
  stats_ = job.stats;
  if (base->refines_blocks() &&
      (settings.outliers > 0 || (settings.significant > 0 && settings.requantize)))
    throw UnsupportedError("requant.base=" + settings.base +
                               " works on whole blocks after their linears, and cannot leave "
                               "single weights out",
                           "set requant.outliers=0 and requant.requantize=false, or choose another "
                           "base");
  resolve_bases();
  for (const Candidate& one : bases_)
    require_made(settings.base, *base, one.plan);
  std::vector<SparseBudget> budgets;
  for (const Candidate& one : bases_)
    budgets.push_back(one.budget);
  places_bytes_ = places_memory(settings, budgets);
  int64_t windows = session_.tokens.size(0);
  if (settings.chooses()) {
    if (windows <= settings.held_back)
      throw ConfigError("of " + std::to_string(windows) + " calibration windows " +
                            std::to_string(settings.held_back) + " are held back: none is left",
                        "raise --samples");
    windows -= settings.held_back;
    held_back_ = session_.tokens.narrow(0, windows, settings.held_back);
  }
  if (settings.gradient_windows > 0) windows = std::min(windows, settings.gradient_windows);
  session_.tokens = session_.tokens.narrow(0, 0, windows);
  session_.windows.end = session_.windows.first + windows;
  session_.sequences_per_set = std::min(session_.sequences_per_set, windows);
}

/// What the base is asked to do.
QuantizeJob RequantRun::base_job(const Candidate& candidate) const {
  QuantizeJob base = job_;
  base.method = settings_.base;
  base.plugin_options.erase(job_.method);
  gradients_.read_from(stats_, base);
  if (!base.plan.decided) base.plan.scheme.group_size = candidate.group_size;
  if (settings_.chooses()) base.calibration.hold_back = settings_.held_back;
  // Beside it lie the places of single weights.
  if (base.memory_limit_bytes > 0)
    base.memory_limit_bytes = std::max<int64_t>(1, base.memory_limit_bytes - places_bytes_);
  return base;
}

std::vector<fs::path> RequantRun::inputs() const {
  std::vector<fs::path> inputs = job_.calibration.files;
  inputs.insert(inputs.end(), {job_.model, job_.stats});
  return inputs;
}

Json RequantRun::identity() const {
  return {{"version", version()},
          {"libtorch", libtorch_version()},
          {"cpu", cpu_level_name(cpu_level())},
          {"settings", job_.to_json()},
          {"inputs", session_.whole_identity()}};
}

QuantizeReport RequantRun::run() {
  const auto start = std::chrono::steady_clock::now();
  const RunPlan plan = plan_whole(plan_bases(/*measured=*/false));
  PartialDirectory partial({job_.out, inputs(), "config.json", "", job_.overwrite}, identity(),
                           job_.resume);
  try {
    const fs::path runs = partial.work() / kRuns;
    if (!fs::exists(runs / kResult)) {
      announce(plan, settings_.base, runs, listener_);
      fs::create_directories(runs);
      build(runs);
    }
    move_files(runs / kResult, partial.work());
    partial.finish({kRuns});
  } catch (const std::exception& error) {
    partial.discard_after(error);
    throw;
  }
  const Json manifest = read_json_file(job_.out / kManifestFile);
  QuantizeReport report = QuantizeReport::from_json(manifest);
  report.method_seconds = manifest.at("timing").at("method_seconds");
  report.peak_rss_bytes = peak_rss_bytes();
  report.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

void RequantRun::collect_for_base(const fs::path& runs) {
  if (!collects()) return;
  stats_ = runs / kBaseStatistics;
  if (!fs::exists(manifest_of(stats_)))
    collect_statistics(session_, StatisticSet(gradients_.names), stats_, listener_);
}

void RequantRun::build(const fs::path& runs) {
  collect_for_base(runs);
  std::vector<Candidate> all;
  for (const Candidate& base : bases_)
    for (Candidate& one : candidates_of(base, runs))
      all.push_back(std::move(one));
  const Candidate& best = all.at(best_of(all, runs));
  Significant significant = find_significant(best, runs);
  const Json report = told(all, best, significant.steps);
  Candidate result = best;
  if (settings_.requantize && !significant.places.empty()) {
    result.directory = runs / kAgain;
    quantize_base(result, united(best.outliers, significant.places));
    significant.places.clear();
  }
  finish(result, significant, report, runs / kResult);
}

void RequantRun::quantize_base(const Candidate& candidate, const WeightPlaces& apart) {
  if (fs::exists(candidate.directory)) return;
  const fs::path prepared = prepared_of(candidate.directory);
  if (prepares_) fs::create_directories(prepared);
  QuantizeJob base = base_job(candidate);
  base.out = candidate.directory;
  base.apart = apart;
  if (prepares_) base.prepared = prepared;
  base.resume = fs::exists(partial_of(candidate.directory));
  base.overwrite = !base.resume;
  quantize_checkpoint(base, listener_);
}

void RequantRun::resolve_bases() {
  std::vector<int64_t> sizes = settings_.group_sizes;
  if (sizes.empty()) sizes = {job_.plan.scheme.group_size};
  const auto format =
      formats().make(job_.format, job_.format == settings_.base
                                      ? Json::object()
                                      : job_.plugin_options.value(job_.format, Json::object()));
  std::optional<ConfigError> beyond;
  for (const int64_t size : sizes) {
    Candidate base;
    base.group_size = size;
    PlanRequest request = job_.plan;
    if (!request.decided) request.scheme.group_size = size;
    base.plan = resolve_plan(request, session_.sites, *format).plan;
    try {
      base.budget = SparseBudget::of(settings_, session_.sites, base.plan);
    } catch (const ConfigError& error) {
      beyond = error;
      continue;
    }
    bases_.push_back(std::move(base));
  }
  for (const Candidate& base : bases_)
    if (settings_.target_bpw > 0 && base.budget.outliers + base.budget.significant == 0)
      listener_.note("groups of " + std::to_string(base.group_size) +
                     ": the dense part leaves the target no single weight");
  // A group too fine for the target is no candidate; if none is left, the last one's reason stands
  // for all.
  if (bases_.empty()) throw ConfigError(*beyond);
}

std::unique_ptr<CausalLM> RequantRun::prepared_for(const Candidate& candidate) const {
  return prepares_ ? open_prepared(session_.input, prepared_of(candidate.directory)) : nullptr;
}

std::vector<RequantRun::Candidate> RequantRun::candidates_of(Candidate base, const fs::path& runs) {
  base.directory = runs / dense_name(base.group_size);
  if (base.budget.outliers == 0 || settings_.weighs()) quantize_base(base, {});
  if (base.budget.outliers == 0) return {base};
  std::vector<double> importance(base.plan.size(), 1);
  if (settings_.weighs()) importance = importances(base, runs);
  std::vector<int64_t> sizes;
  for (const auto& entry : base.plan)
    for (const LinearSite& site : session_.sites)
      if (site.name == entry.first) sizes.push_back(site.out_features * site.in_features);
  const double part =
      static_cast<double>(base.budget.outliers) / static_cast<double>(base.budget.weights);
  std::vector<Candidate> all;
  for (size_t i = 0; i < settings_.exponents.size(); ++i) {
    const double exponent = settings_.exponents[i];
    Candidate one = base;
    one.exponent = exponent;
    one.outliers =
        largest_weights(session_, base.plan, outlier_shares(importance, sizes, part, exponent));
    // Rounded down in each linear, and at most kMostOutliers of it.
    if (const int64_t found = count_of(one.outliers);
        found + static_cast<int64_t>(sizes.size()) < base.budget.outliers)
      listener_.warning("only " + std::to_string(found) + " of " +
                        std::to_string(base.budget.outliers) +
                        " outliers are left out: linears are at their limit");
    one.directory = runs / apart_name(base.group_size, i);
    quantize_base(one, one.outliers);
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace ptq::detail
