#include "collection.h"

#include <ATen/ATen.h>

#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

GradientSweep::Plan plan_of(const CalibrationSession& session, const fs::path& directory,
                            const WeightPoint& point, ProgressListener& listener) {
  GradientSweep::Plan plan;
  plan.tokens = session.tokens;
  plan.first_sequence = session.windows.first;
  plan.point = point;
  plan.labels = session.labels;
  plan.settings.poll = [&listener] { listener.poll(); };
  plan.directory = directory;
  return plan;
}

DataCounts counts_of(const CalibrationSession& session, bool targets) {
  const int64_t sequences = session.tokens.size(0), tokens = session.tokens.numel();
  return {sequences, tokens, targets ? tokens - sequences : 0};
}

double mean_of(const at::Tensor& nll, const CalibrationSession& session) {
  return nll.sum().item<double>() / static_cast<double>(counts_of(session, true).targets);
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

GradientSweep::Progress progress_of(ProgressListener& listener, int64_t blocks) {
  return [&listener, blocks](int64_t done) {
    listener.step(done, done <= blocks
                            ? "block " + std::to_string(done - 1) + " forward"
                            : "block " + std::to_string(2 * blocks - done) + " backward");
  };
}

/// Without gradients one sweep forward does.
void collect_forward(const CalibrationSession& session, const StatisticSet& statistics,
                     const fs::path& directory, ProgressListener& listener) {
  const at::NoGradGuard unrecorded;
  SweepSettings settings;
  settings.poll = [&listener] { listener.poll(); };
  const CausalLM& model = *session.input.model;
  at::Tensor states = embed_sequences(model, session.tokens, settings);
  listener.begin("collecting", model.config().blocks);
  Collector collector(statistics);
  forward_sweep(model, [&](Block& block, int64_t index) {
    for_each_batch(states.size(0), states.size(1), settings, [&](int64_t first, int64_t count) {
      BlockState state{states.narrow(0, first, count), {}};
      for (size_t stage = 0; stage < block.stages().size(); ++stage) {
        // One linear stands for all that read this input: nothing collected here is its own.
        const LinearSite& site = block.stages()[stage].linears.front().site();
        const SiteBatch batch{block.stage_input(stage, state), {}};
        require_finite(site, batch, session.windows.first + first);
        collector.add(site, batch);
        block.run_stage(stage, batch.x, state);
      }
      states.narrow(0, first, count).copy_(state.hidden);
    });
    collector.finish();
    write_stats_block(directory, index, session.block_sites(index), collector);
    collector.clear();
    listener.step(index + 1, "block " + std::to_string(index));
  });
}

/// Adds `coefficient` times the gradients that `collector` has to those of the nodes before.
void add_node(const CalibrationSession& session, int64_t index, const Collector& collector,
              double coefficient, const fs::path& before, const fs::path& directory) {
  std::map<std::string, at::Tensor> tensors;
  std::unique_ptr<SafetensorsFile> earlier;
  if (!before.empty()) earlier = std::make_unique<SafetensorsFile>(stats_block_file(before, index));
  for (const LinearSite& site : session.block_sites(index)) {
    const std::string key = site.name + ".pooled-gradient.sum";
    const SiteStats stats = collector.stats(site);
    at::Tensor sum = stats.sum("pooled-gradient").mul(coefficient);
    if (earlier) sum.add_(earlier->tensor(key));
    tensors.emplace(key, sum);
  }
  write_safetensors(stats_block_file(directory, index), tensors);
}

}  // namespace

double collect_statistics(const CalibrationSession& session, const StatisticSet& statistics,
                          const fs::path& directory, ProgressListener& listener) {
  fs::create_directories(directory);
  const fs::path done = directory / "loss.json";
  const bool gradients = statistics.needs_gradients();
  if (fs::exists(done)) return read_json_file(done).at("mean_nll").get<double>();
  double mean = -1;
  if (gradients) {
    const fs::path work = directory / "sweep";
    GradientSweep sweep(*session.input.model, plan_of(session, work, {}, listener));
    listener.begin("collecting", sweep.steps());
    const at::Tensor nll = sweep.run(
        statistics,
        [&](int64_t index, const Collector& collector) {
          write_stats_block(directory, index, session.block_sites(index), collector);
        },
        progress_of(listener, session.input.model->config().blocks));
    mean = mean_of(nll, session);
  } else {
    collect_forward(session, statistics, directory, listener);
  }
  finish_store(session, statistics.options(), gradients, directory);
  write_file_atomically(done, Json{{"mean_nll", mean}}.dump() + "\n");
  fs::remove_all(directory / "sweep");
  return mean;
}

ProbeOutcome collect_probe(const CalibrationSession& session, const GradientProbe& probe,
                           const fs::path& directory, ProgressListener& listener) {
  fs::create_directories(directory);
  const StatisticSet gradient({"pooled-gradient"});
  const fs::path progress_file = directory / "nodes.json";
  ProbeOutcome outcome;
  if (fs::exists(progress_file))
    outcome.mean_nll = read_json_file(progress_file).at("mean_nll").get<std::vector<double>>();
  const auto sums_of = [&](size_t node) { return directory / ("node-" + std::to_string(node)); };
  fs::path before;  // sums of the nodes done
  for (size_t i = 0; i < probe.nodes.size(); ++i) {
    const bool adds = probe.nodes[i].coefficient != 0;
    if (i < outcome.mean_nll.size()) {
      if (adds) before = sums_of(i);
      continue;
    }
    GradientSweep sweep(
        *session.input.model,
        plan_of(session, directory / "sweep", {probe.direction, probe.nodes[i].at}, listener));
    listener.begin(probe.name + ": gradients at node " + std::to_string(i + 1) + " of " +
                       std::to_string(probe.nodes.size()),
                   sweep.steps());
    const auto progress = progress_of(listener, session.input.model->config().blocks);
    at::Tensor nll;
    if (adds) {
      fs::create_directories(sums_of(i));
      nll = sweep.run(
          gradient,
          [&](int64_t index, const Collector& collector) {
            add_node(session, index, collector, probe.nodes[i].coefficient, before, sums_of(i));
          },
          progress);
    } else {
      nll = sweep.losses(progress);
    }
    outcome.mean_nll.push_back(mean_of(nll, session));
    write_file_atomically(progress_file, Json{{"mean_nll", outcome.mean_nll}}.dump() + "\n");
    fs::remove_all(directory / "sweep");
    if (adds && !before.empty()) fs::remove_all(before);
    if (adds) before = sums_of(i);
  }
  for (int64_t index = 0; index < session.input.model->config().blocks; ++index)
    if (const fs::path block = stats_block_file(before, index); fs::exists(block))
      fs::rename(block, stats_block_file(directory, index));
  finish_store(session, gradient.options(), true, directory);
  return outcome;
}

}  // namespace ptq::detail
