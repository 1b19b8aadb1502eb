#include <ATen/ATen.h>

#include "../dry_run.h"
#include "ptq/report/table.h"
#include "run.h"
#include "run_memory.h"

namespace ptq::detail {

Session RequantRun::session_of(const QuantizeJob& base) const {
  try {
    return Session(base, listener_, /*stats_to_come=*/true);
  } catch (const ResourceError& error) {
    // The limit that it names is what single weights leave.
    throw ResourceError("a run of " + settings_.base + " beside " + human_bytes(places_bytes_) +
                            " for single weights: " + error.what(),
                        error.hint());
  }
}

std::vector<QuantizePlan> RequantRun::plan_bases(bool measured) const {
  std::vector<QuantizePlan> plans;
  for (const Candidate& base : bases_) {
    const QuantizeJob job = base_job(base);
    Session session = session_of(job);
    plans.push_back(plan_of(session));
    if (measured && plans.size() == 1 && !collects())
      plans.back().estimated_seconds = measured_seconds(session);
  }
  return plans;
}

RunPlan RequantRun::plan_whole(const std::vector<QuantizePlan>& bases) const {
  const int64_t held_back = held_back_.defined() ? held_back_.size(0) : 0;
  const std::vector<std::string> collected =
      collects() ? gradients_.names : std::vector<std::string>();
  RunOutline outline{settings_, ranking_, session_, held_back, collected, prepares_, {}};
  for (size_t i = 0; i < bases.size(); ++i)
    outline.bases.push_back(
        {bases_[i].group_size, bases_[i].budget, bases[i].output_bytes, bases[i].memory_bytes});
  RunPlan plan = plan_run(outline);
  if (const int64_t limit = memory_limit(job_); plan.memory_bytes > limit)
    throw ResourceError("gradients and single weights need about " +
                            human_bytes(plan.memory_bytes) + ", the limit is " + human_bytes(limit),
                        "use fewer requant.gradient_windows or single weights, a shorter "
                        "--seqlen, or raise --memory-limit");
  return plan;
}

QuantizePlan RequantRun::plan() const {
  const std::vector<QuantizePlan> bases = plan_bases(/*measured=*/true);
  const RunPlan whole = plan_whole(bases);
  QuantizePlan plan = bases.front();
  for (size_t i = 0; i < bases.size(); ++i) {
    const SparseBudget& budget = bases_[i].budget;
    const int64_t weights = budget.outliers + budget.significant;
    plan.notes.push_back(
        (bases.size() > 1 ? "groups of " + std::to_string(bases_[i].group_size) + ": " : "") +
        std::to_string(budget.outliers) + " outliers and " + std::to_string(budget.significant) +
        " significant weights, at most " + human_bytes(budget.bytes(weights)) + ", beside " +
        human_bytes(bases[i].output_bytes));
  }
  plan.notes.push_back(whole.line(settings_.base));
  plan.output_bytes = whole.output_bytes;
  plan.disk_bytes = whole.disk_bytes();
  plan.memory_bytes = whole.memory_bytes;
  plan.runs = whole.base_runs;
  if (plan.estimated_seconds < 0) {
    plan.notes.push_back("no time is told, as the run itself collects the statistics that " +
                         settings_.base + " reads");
  } else {
    plan.estimated_seconds *= static_cast<double>(whole.base_runs);
    plan.notes.push_back("the time is that of " + settings_.base +
                         " alone, without the sweeps and the choice of weights");
  }
  return plan;
}

}  // namespace ptq::detail
