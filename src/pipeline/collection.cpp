#include "collection.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

GradientSweep::Plan plan_of(const CalibrationSession& session, const WindowSet& set,
                            const WeightPoint& point, const fs::path& states,
                            ProgressListener& listener) {
  GradientSweep::Plan plan;
  plan.directory = states;
  plan.tokens = set.tokens;
  plan.first_sequence = set.first_window;
  plan.point = point;
  plan.labels = session.labels;
  plan.settings.poll = [&listener] { listener.poll(); };
  return plan;
}

DataCounts counts_of(const CalibrationSession& session, bool targets) {
  const int64_t sequences = session.tokens.size(0), tokens = session.tokens.numel();
  return {sequences, tokens, targets ? tokens - sequences : 0};
}

double sum_of(const at::Tensor& nll) {
  return nll.sum().item<double>();
}

/// The NLL that each finished part of a collection summed up, kept in a file, so that an
/// interrupted run goes on behind them.
class FinishedParts {
 public:
  explicit FinishedParts(const fs::path& directory) : file_(directory / kFinishedParts) {
    if (fs::exists(file_)) nll_ = read_json_file(file_).at("nll").get<std::vector<double>>();
  }

  size_t count() const { return nll_.size(); }

  void add(double nll) {
    nll_.push_back(nll);
    write_file_atomically(file_, Json{{"nll", nll_}}.dump() + "\n");
  }

  /// Of the parts from `first` on, nats per target token.
  double mean(size_t first, size_t count, const CalibrationSession& session) const {
    double sum = 0;
    for (size_t i = first; i < first + count; ++i)
      sum += nll_.at(i);
    return sum / static_cast<double>(counts_of(session, true).targets);
  }

 private:
  fs::path file_;
  std::vector<double> nll_;
};

/// Where the sweep of part `part` keeps its states: apart from those of other parts, which a run
/// that was killed may have left.
fs::path sweep_directory(const fs::path& directory, size_t part) {
  return directory / ("sweep-" + std::to_string(part));
}

void finish_store(const CalibrationSession& session, const Json& statistics, bool targets,
                  const fs::path& directory) {
  StoreManifest manifest;
  manifest.identity = session.whole_identity();
  manifest.statistics = statistics;
  manifest.counts = counts_of(session, targets);
  manifest.windows = {session.windows};
  manifest.windows_total = session.windows_total;
  manifest.blocks = session.input.model->config().blocks;
  write_stats_manifest(directory, manifest);
}

/// Tells the steps of part `part` of `parts`, each of so many steps, as those of one whole.
class PartProgress {
 public:
  PartProgress(ProgressListener& listener, size_t part, size_t parts, int64_t steps)
      : listener_(listener), before_(static_cast<int64_t>(part) * steps) {
    if (parts > 1)
      prefix_ = "set " + std::to_string(part + 1) + " of " + std::to_string(parts) + ", ";
  }

  void step(int64_t done, const std::string& line) const {
    listener_.step(before_ + done, prefix_ + line);
  }

  /// Of a sweep forward and back.
  GradientSweep::Progress of_sweep(int64_t blocks) const {
    return [self = *this, blocks](int64_t done) {
      self.step(done, done <= blocks ? "block " + std::to_string(done - 1) + " forward"
                                     : "block " + std::to_string(2 * blocks - done) + " backward");
    };
  }

 private:
  ProgressListener& listener_;
  int64_t before_;
  std::string prefix_;
};

/// A collection's part: which it is, its windows, and where the sums lie.
struct Part {
  size_t index;
  const WindowSet& set;
  const fs::path& directory;
};

/// Without gradients one sweep forward does.
void collect_forward(const CalibrationSession& session, const StatisticSet& statistics,
                     const Part& part, const PartProgress& progress, ProgressListener& listener) {
  const at::NoGradGuard unrecorded;
  SweepSettings settings;
  settings.poll = [&listener] { listener.poll(); };
  const CausalLM& model = *session.input.model;
  at::Tensor states = embed_sequences(model, part.set.tokens, settings);
  Collector collector(statistics);
  forward_sweep(model, [&](Block& block, int64_t index) {
    for_each_batch(states.size(0), states.size(1), settings, [&](int64_t first, int64_t count) {
      BlockState state{states.narrow(0, first, count), {}};
      for (size_t stage = 0; stage < block.stages().size(); ++stage) {
        // One linear stands for all that read this input: nothing collected here is its own.
        const LinearSite& site = block.stages()[stage].linears.front().site();
        const SiteBatch batch{block.stage_input(stage, state), {}};
        require_finite(site, batch, part.set.first_window + first);
        collector.add(site, batch);
        block.run_stage(stage, batch.x, state);
      }
      states.narrow(0, first, count).copy_(state.hidden);
    });
    collector.finish();
    write_stats_block(part.directory, index, session.block_sites(index), collector,
                      static_cast<int64_t>(part.index));
    collector.clear();
    progress.step(index + 1, "block " + std::to_string(index));
  });
}

/// Adds `coefficient` times the gradients that `collector` has to those of the parts before `part`;
/// multiplies them in place.
void add_gradients(const CalibrationSession& session, int64_t index, const Collector& collector,
                   double coefficient, const Part& part) {
  std::map<std::string, at::Tensor> sums;
  for (const LinearSite& site : session.block_sites(index))
    sums.emplace(site.name + ".pooled-gradient.sum",
                 collector.stats(site).sum("pooled-gradient").mul_(coefficient).cpu());
  add_stats_part(stats_block_file(part.directory, index), static_cast<int64_t>(part.index), sums);
}

}  // namespace

double collect_statistics(const CalibrationSession& session, const StatisticSet& statistics,
                          const fs::path& directory, ProgressListener& listener) {
  fs::create_directories(directory);
  FinishedParts finished(directory);
  const bool gradients = statistics.needs_gradients();
  const int64_t blocks = session.input.model->config().blocks;
  const int64_t steps = gradients ? 2 * blocks : blocks;
  const std::vector<WindowSet> sets = session.window_sets();
  listener.begin("collecting", steps * static_cast<int64_t>(sets.size()),
                 steps * static_cast<int64_t>(finished.count()));
  for (size_t i = 0; i < sets.size(); ++i) {
    const Part part{i, sets[i], directory};
    const PartProgress progress(listener, i, sets.size(), steps);
    const fs::path states = sweep_directory(directory, i);
    if (i >= finished.count() && gradients) {
      GradientSweep sweep(*session.input.model, plan_of(session, part.set, {}, states, listener));
      const auto keep = [&](int64_t index, const Collector& collector) {
        write_stats_block(directory, index, session.block_sites(index), collector,
                          static_cast<int64_t>(i));
      };
      finished.add(sum_of(sweep.run(statistics, keep, progress.of_sweep(blocks))));
    } else if (i >= finished.count()) {
      collect_forward(session, statistics, part, progress, listener);
      finished.add(0);
    }
    fs::remove_all(states);
  }
  finish_store(session, statistics.options(), gradients, directory);
  return gradients ? finished.mean(0, sets.size(), session) : -1;
}

ProbeOutcome collect_probe(const CalibrationSession& session, const GradientProbe& probe,
                           const fs::path& directory, ProgressListener& listener) {
  fs::create_directories(directory);
  const StatisticSet gradient({"pooled-gradient"});
  const int64_t blocks = session.input.model->config().blocks;
  const std::vector<WindowSet> sets = session.window_sets();
  FinishedParts finished(directory);
  ProbeOutcome outcome;
  size_t done = 0, added = 0;  // sweeps, and those of them whose gradients are in the sums
  for (const GradientProbe::Node& node : probe.nodes) {
    if (done + sets.size() > finished.count())
      listener.begin(probe.name + ": gradients at node " +
                         std::to_string(outcome.mean_nll.size() + 1) + " of " +
                         std::to_string(probe.nodes.size()),
                     2 * blocks * static_cast<int64_t>(sets.size()),
                     2 * blocks * static_cast<int64_t>(std::max(done, finished.count()) - done));
    for (size_t i = 0; i < sets.size(); ++i, ++done) {
      const Part part{added, sets[i], directory};
      if (node.coefficient != 0) ++added;
      const fs::path states = sweep_directory(directory, done);
      if (done >= finished.count()) {
        GradientSweep sweep(
            *session.input.model,
            plan_of(session, part.set, {probe.direction, node.at}, states, listener));
        const auto progress = PartProgress(listener, i, sets.size(), 2 * blocks).of_sweep(blocks);
        const auto keep = [&](int64_t index, const Collector& collector) {
          add_gradients(session, index, collector, node.coefficient, part);
        };
        finished.add(sum_of(node.coefficient != 0 ? sweep.run(gradient, keep, progress)
                                                  : sweep.losses(progress)));
      }
      fs::remove_all(states);
    }
    outcome.mean_nll.push_back(finished.mean(done - sets.size(), sets.size(), session));
  }
  finish_store(session, gradient.options(), true, directory);
  return outcome;
}

}  // namespace ptq::detail
