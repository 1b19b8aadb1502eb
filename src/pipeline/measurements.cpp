#include "measurements.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/sensitivity/rounding.h"

namespace ptq::detail {
namespace {

/// κ of the noise units: an effect falls by κ² to a few 10⁻⁹ of itself, so that what is left is
/// rounding.
constexpr double kNoiseScale = 0x1p-14;

/// One suffix run to be done.
struct Task {
  const Unit* unit;
  size_t scheme;
  double scale;
  MeasuredEffect* result;

  std::string key(const ValidationRequest& request) const {
    return unit->kind + " " + unit->name + " " + request.schemes[scheme].name() + " " +
           Json(scale).dump();
  }
};

class UnitRunner {
 public:
  UnitRunner(const MeasuringTask& task, EffectMeter& meter) : task_(task), meter_(meter) {
    for (const QuantScheme& scheme : task.request.schemes)
      directions_.emplace_back(scheme);
  }

  MeasuredEffect measure(const Task& task) {
    std::vector<WeightChange> changes;
    for (const Unit::Part& part : task.unit->parts) {
      const LinearSite& site = task_.linears[part.linear].site;
      const at::Tensor rounding = direction(task.scheme, part.linear);
      changes.push_back({site.name, site.block, only_columns(rounding, part.columns) * task.scale});
    }
    return with_context("measuring " + task.unit->name, [&] { return meter_.measure(changes); });
  }

 private:
  /// The rounding error of a linear; that of the last one is kept, for all its columns.
  at::Tensor direction(size_t scheme, size_t linear) {
    std::pair<size_t, at::Tensor>& kept = kept_[scheme];
    if (!kept.second.defined() || kept.first != linear) {
      const LinearSite& site = task_.linears[linear].site;
      kept = {linear, directions_[scheme].of(site, meter_.weight(site))};
    }
    return kept.second;
  }

  const MeasuringTask& task_;
  EffectMeter& meter_;
  std::vector<RoundingDirection> directions_;
  std::map<size_t, std::pair<size_t, at::Tensor>> kept_;
};

/// Tells a listener of work done, at most a hundred times.
class WorkProgress {
 public:
  WorkProgress(ProgressListener& listener, const std::vector<Task>& tasks, const EffectMeter& meter)
      : listener_(listener), meter_(meter), tasks_(tasks.size()) {
    for (const Task& task : tasks)
      work_ += meter.work_from(task.unit->block);
    listener_.begin("measuring " + std::to_string(tasks_) + " perturbations", 100, 0);
  }

  void done(const Task& task) {
    done_work_ += meter_.work_from(task.unit->block);
    ++done_;
    const auto percent = static_cast<int64_t>(100 * done_work_ / work_ + 1e-9);
    if (percent == told_) return;
    told_ = percent;
    listener_.step(percent, std::to_string(done_) + " of " + std::to_string(tasks_) +
                                " perturbations, " + task.unit->name);
  }

 private:
  ProgressListener& listener_;
  const EffectMeter& meter_;
  size_t tasks_, done_ = 0;
  double work_ = 0, done_work_ = 0;
  int64_t told_ = 0;
};

void run_tasks(const MeasuringTask& task, const std::vector<Task>& tasks, EffectMeter& meter,
               MeasurementRecord& record, ProgressListener& listener) {
  std::vector<Task> open;
  for (const Task& one : tasks) {
    if (const auto known = record.find(one.key(task.request)))
      *one.result = *known;
    else
      open.push_back(one);
  }
  if (open.empty()) return;
  UnitRunner runner(task, meter);
  WorkProgress progress(listener, open, meter);
  for (const Task& one : open) {
    listener.poll();
    *one.result = runner.measure(one);
    record.add(one.key(task.request), *one.result);
    progress.done(one);
  }
}

}  // namespace

MeasurementRecord::MeasurementRecord(std::filesystem::path file) : file_(std::move(file)) {
  if (std::filesystem::exists(file_)) {
    const std::string text = read_text_file(file_);
    const size_t whole = text.rfind('\n') + 1;  // 0 for none: npos + 1
    for (size_t begin = 0; begin < whole;) {
      const size_t end = text.find('\n', begin);
      const Json line = parse_json(text.substr(begin, end - begin), file_.string());
      if (!line.is_object() || !line.contains("unit") || !line.contains("kl") ||
          !line.contains("nll") || !line.contains("window_kl"))
        throw FormatError(file_.string() + " is no record of measurements",
                          "start afresh with --overwrite");
      known_[line.at("unit")] = {line.at("kl"), line.at("nll"), line.at("window_kl")};
      begin = end + 1;
    }
    std::filesystem::resize_file(file_, whole);
  }
  out_.open(file_, std::ios::app | std::ios::binary);
}

std::optional<MeasuredEffect> MeasurementRecord::find(const std::string& key) const {
  const auto found = known_.find(key);
  if (found == known_.end()) return std::nullopt;
  return found->second;
}

void MeasurementRecord::add(const std::string& key, const MeasuredEffect& effect) {
  const Json line = {
      {"unit", key}, {"kl", effect.kl}, {"nll", effect.nll}, {"window_kl", effect.window_kl}};
  out_ << line.dump() + "\n" << std::flush;
  if (!out_) throw ResourceError("cannot write " + file_.string(), "is the disk full?");
  known_[key] = effect;
}

Measurements measure_units(const MeasuringTask& task, EffectMeter& meter, MeasurementRecord& record,
                           ProgressListener& listener) {
  const ValidationRequest& request = task.request;
  Measurements result;
  const std::vector<MeasuredEffect> blank(task.units.size());
  result.effects.assign(request.schemes.size(), {request.scales.size(), blank});
  result.subsets.assign(request.schemes.size(), std::vector<MeasuredEffect>(task.subsets.size()));
  std::vector<MeasuredEffect> noise(task.units.size());
  std::vector<Task> tasks;
  for (size_t u = 0; u < task.units.size(); ++u) {
    if (task.units[u].kind == "noise") {
      tasks.push_back({&task.units[u], 0, kNoiseScale, &noise[u]});
      continue;
    }
    for (size_t s = 0; s < request.schemes.size(); ++s)
      for (size_t k = 0; k < request.scales.size(); ++k)
        tasks.push_back({&task.units[u], s, request.scales[k], &result.effects[s][k][u]});
  }
  for (size_t u = 0; u < task.subsets.size(); ++u)
    for (size_t s = 0; s < request.schemes.size(); ++s)
      tasks.push_back({&task.subsets[u], s, request.scales.front(), &result.subsets[s][u]});
  run_tasks(task, tasks, meter, record, listener);
  for (const MeasuredEffect& effect : noise)
    result.noise_kl = std::max(result.noise_kl, std::abs(effect.kl));
  result.runs = static_cast<int64_t>(tasks.size());
  return result;
}

}  // namespace ptq::detail
