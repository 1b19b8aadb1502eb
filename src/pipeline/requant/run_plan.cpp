#include "run_plan.h"

#include <algorithm>

#include "../collection_plan.h"
#include "ptq/io/checkpoint_writer.h"
#include "ptq/io/file.h"
#include "ptq/report/table.h"
#include "run_memory.h"
#include "run_parts.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

/// What a file takes beyond its data: the rest of its last block on disk.
constexpr int64_t kFileBytes = int64_t{4} << 10;
/// What the header of a file says of a tensor.
constexpr int64_t kHeaderBytes = int64_t{1} << 8;
/// What manifest, progress, index, config and headers of a run say of a linear; 1.4 to 2.2 KiB were
/// found.
constexpr int64_t kTextBytes = int64_t{3} << 10;
/// The files of a run beside its shards; what they say of the run as a whole is in them.
constexpr int64_t kRunFiles = 12;

/// Writes the parts down in the order in which RequantRun makes them.
class Planner {
 public:
  explicit Planner(const RunOutline& outline);
  RunPlan plan();

 private:
  using Part = RunPlan::Part;
  using Base = RunOutline::Base;

  void candidates(const Base& base);
  void steps();
  void result();
  Part base_run(const std::string& name, const Base& base, int64_t apart) const;
  Part store(const std::string& name, const StatisticSet& statistics, int64_t sweeps) const;
  void add_run(const Part& run);
  void add_sweeps(const StatisticSet& statistics);
  void add_sweeps(const std::vector<GradientProbe::Node>& nodes);
  void needs(int64_t memory_bytes);

  const RunOutline& outline_;
  const RequantSettings& settings_;
  const CalibrationSession& session_;
  const StatisticSet gradient_{{"pooled-gradient"}};
  int64_t blocks_, linears_;
  int64_t text_bytes_ = 0, copied_bytes_ = 0, prepared_bytes_ = 0;  // of a run, beside its tensors
  int64_t candidates_ = 0;
  RunPlan plan_;
};

Planner::Planner(const RunOutline& outline)
    : outline_(outline),
      settings_(outline.settings),
      session_(outline.session),
      blocks_(session_.input.model->config().blocks),
      linears_(static_cast<int64_t>(session_.sites.size())) {
  const fs::path& model = session_.input.checkpoint->directory();
  text_bytes_ = kFileBytes * (blocks_ + kRunFiles) + kTextBytes * linears_ +
                static_cast<int64_t>(fs::file_size(model / "config.json"));
  for (const fs::path& file : side_files(model))
    copied_bytes_ += static_cast<int64_t>(fs::file_size(file)) + kFileBytes;
  if (!outline.prepares) return;
  prepared_bytes_ = kFileBytes * blocks_;
  for (const LinearSite& site : session_.sites)  // with a bias, and gain and bias of a norm
    prepared_bytes_ += (site.out_features * (site.in_features + 1) + 2 * site.in_features) * 4;
}

RunPlan Planner::plan() {
  if (!outline_.base_statistics.empty()) {
    const StatisticSet read(outline_.base_statistics);
    add_sweeps(read);
    plan_.parts.push_back(store(kBaseStatistics, read, 1));
  }
  std::vector<SparseBudget> budgets;
  for (const Base& base : outline_.bases) {
    needs(base.memory_bytes);
    budgets.push_back(base.budget);
    candidates(base);
  }
  if (candidates_ > 1) {
    plan_.loss_sweeps += candidates_;
    needs(sweep_memory(session_, StatisticSet(), outline_.windows_held_back));
  }
  steps();
  result();
  plan_.memory_bytes += places_memory(settings_, budgets);
  return plan_;
}

void Planner::candidates(const Base& base) {
  const std::string dense = dense_name(base.group_size);
  const bool apart = base.budget.outliers > 0, weighs = apart && settings_.weighs();
  if (!apart || weighs) add_run(base_run(dense, base, 0));
  if (weighs) {
    add_sweeps(integral_nodes(settings_.nodes));
    plan_.parts.push_back(store(gradients_name(dense), gradient_, settings_.nodes));
    needs(choice_memory(session_, gradient_, 0));
  }
  candidates_ += apart ? static_cast<int64_t>(settings_.exponents.size()) : 1;
  for (size_t i = 0; apart && i < settings_.exponents.size(); ++i)
    add_run(base_run(apart_name(base.group_size, i), base, base.budget.outliers));
}

void Planner::steps() {
  const WeightRanking& ranking = outline_.ranking;
  int64_t weights = 0;
  for (const Base& base : outline_.bases)
    weights = std::max(weights, base.budget.significant);
  if (weights == 0) return;
  std::vector<std::string> read = ranking.statistics;
  if (!ranking.nodes.empty()) read.emplace_back("pooled-gradient");
  needs(choice_memory(session_, StatisticSet(read), weights));
  for (int64_t number = 0; number < settings_.steps; ++number) {
    const std::string name = step_name(number);
    Part step{name + ".json", 2 * kFileBytes + kHeaderBytes * linears_, 0};
    step.stays += 8 * weights * (number + 1) / settings_.steps;
    if (!ranking.nodes.empty()) {
      add_sweeps(ranking.nodes);
      const Part gradients =
          store(gradients_name(name), gradient_, static_cast<int64_t>(ranking.nodes.size()));
      step.passes = gradients.stays + gradients.passes;
    }
    if (!ranking.statistics.empty() && number == 0) {
      add_sweeps(StatisticSet(ranking.statistics));
      Part statistics = store(kStatistics, StatisticSet(ranking.statistics), 1);
      statistics.passes += step.passes;
      plan_.parts.push_back(statistics);
    }
    plan_.parts.push_back(step);
  }
}

/// Of several candidates the one that takes most may be the best.
void Planner::result() {
  Part again{kAgain, 0, 0}, result{kResult, text_bytes_, 0};  // all else are hard links
  for (const Base& base : outline_.bases) {
    const int64_t weights = base.budget.outliers + base.budget.significant;
    const int64_t sparse = base.budget.bytes(weights);
    plan_.output_bytes = std::max(plan_.output_bytes, base.output_bytes + sparse);
    result.stays = std::max(result.stays, text_bytes_ + sparse);
    if (!settings_.requantize || base.budget.significant == 0) continue;
    const Part run = base_run(kAgain, base, weights);
    again.stays = std::max(again.stays, run.stays);
    again.passes = std::max(again.passes, run.passes);
  }
  if (again.stays > 0) add_run(again);
  plan_.parts.push_back(result);
}

/// A run of the base that leaves `apart` weights out.
RunPlan::Part Planner::base_run(const std::string& name, const Base& base, int64_t apart) const {
  Part run{name, base.output_bytes + base.budget.bytes(apart), 0};
  run.stays += text_bytes_ + copied_bytes_ + prepared_bytes_;
  // What it keeps of them to be resumed: row pointers, columns and values of 32 bits.
  if (apart > 0) run.passes = base.budget.pointer_bytes + 8 * apart + kFileBytes * blocks_;
  return run;
}

/// `statistics` of all linears, added up over `sweeps`, and what these keep.
RunPlan::Part Planner::store(const std::string& name, const StatisticSet& statistics,
                             int64_t sweeps) const {
  const CollectionPlan plan = plan_collection(session_, statistics);
  int64_t sums = 0, of_block = 0;
  for (const CollectionPlan::Row& row : plan.statistics) {
    sums += row.stored_bytes;
    of_block += row.resident_bytes;
  }
  const int64_t files = kFileBytes * (blocks_ + 3);
  const int64_t headers = kHeaderBytes * linears_ * static_cast<int64_t>(plan.statistics.size());
  // A block's sums are written beside the file that they replace.
  Part store{manifest_of(name), sums + headers + files, of_block + headers + files};
  // Of one sweep the sums grow while the states go: there are all states and the sums of two
  // blocks, or five states and all sums.  When a second one goes back, there are all of both.
  const bool once = sweeps == 1 && plan.sequences <= plan.sequences_per_set;
  store.passes +=
      once ? std::max(plan.state_bytes + 2 * of_block - sums, plan.state_bytes / (blocks_ + 3) * 5)
           : plan.state_bytes;
  return store;
}

void Planner::add_run(const Part& run) {
  ++plan_.base_runs;
  plan_.parts.push_back(run);
}

void Planner::add_sweeps(const StatisticSet& statistics) {
  ++(statistics.needs_gradients() ? plan_.gradient_sweeps : plan_.loss_sweeps);
  needs(sweep_memory(session_, statistics, session_.sequences_per_set));
}

void Planner::add_sweeps(const std::vector<GradientProbe::Node>& nodes) {
  for (const GradientProbe::Node& node : with_ends(nodes))
    ++(node.coefficient != 0 ? plan_.gradient_sweeps : plan_.loss_sweeps);
  needs(sweep_memory(session_, gradient_, session_.sequences_per_set));
}

void Planner::needs(int64_t memory_bytes) {
  plan_.memory_bytes = std::max(plan_.memory_bytes, memory_bytes);
}

}  // namespace

RunPlan plan_run(const RunOutline& outline) {
  return Planner(outline).plan();
}

int64_t RunPlan::disk_bytes(const fs::path& runs) const {
  int64_t most = 0, kept = 0;
  for (const Part& part : parts) {
    if (runs.empty() || !fs::exists(runs / part.done))
      most = std::max(most, kept + part.stays + part.passes);
    kept += part.stays;
  }
  return most;
}

std::string RunPlan::line(const std::string& base) const {
  return "runs of " + base + ": " + std::to_string(base_runs) +
         "; sweeps with gradients: " + std::to_string(gradient_sweeps) +
         ", without: " + std::to_string(loss_sweeps) + "; at most " + human_bytes(disk_bytes()) +
         " of disk before the end";
}

void announce(const RunPlan& plan, const std::string& base, const fs::path& runs,
              ProgressListener& listener) {
  const int64_t there = bytes_in(runs);
  listener.note(plan.line(base) + (there > 0 ? ", " + human_bytes(there) + " are there" : ""));
  require_disk_space(runs, plan.disk_bytes(runs) - there);
}

}  // namespace ptq::detail
