#include <algorithm>
#include <chrono>

#include <ATen/ATen.h>

#include "ptq/formats/sparse_part.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"
#include "ptq/io/sha256.h"
#include "ptq/pipeline/inspect.h"
#include "quantized_direction.h"
#include "run.h"
#include "run_parts.h"
#include "sparse_output.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

ProbeOutcome RequantRun::probe(const std::string& name, const std::shared_ptr<const Direction>& way,
                               const std::vector<GradientProbe::Node>& nodes,
                               const fs::path& directory) {
  return collect_probe(session_, {name, way, with_ends(nodes)}, directory, listener_);
}

std::vector<double> RequantRun::importances(const Candidate& base, const fs::path& runs) {
  const ModelInstead prepared(session_.input.model, prepared_for(base));
  const std::string name = base.directory.filename().string();
  const auto way = std::make_shared<QuantizedDirection>(name, base.directory, WeightPlaces{});
  const fs::path directory = runs / gradients_name(name);
  probe("importance of linears", way, integral_nodes(settings_.nodes), directory);
  StatsStore store = StatsStore::open(directory);
  return mean_integrals(session_, base.plan, {*way, store});
}

double RequantRun::judged(const Candidate& candidate, const fs::path& runs) {
  const ModelInstead prepared(session_.input.model, prepared_for(candidate));
  const std::string name = candidate.directory.filename().string();
  GradientSweep::Plan plan;
  plan.tokens = held_back_;
  plan.point = {std::make_shared<QuantizedDirection>(name, candidate.directory, WeightPlaces{}), 1};
  plan.settings.poll = [this] { listener_.poll(); };
  plan.directory = runs / "judge";
  listener_.begin("judging " + name, session_.input.model->config().blocks, 0);
  const auto progress = [&](int64_t done) {
    listener_.step(done, "block " + std::to_string(done - 1));
  };
  const at::Tensor nll = GradientSweep(*session_.input.model, plan).losses(progress);
  return nll.sum().item<double>() / static_cast<double>(held_back_.numel() - held_back_.size(0));
}

size_t RequantRun::best_of(std::vector<Candidate>& candidates, const fs::path& runs) {
  if (candidates.size() == 1) return 0;
  const fs::path record = runs / "judged.json";
  if (!fs::exists(record)) {
    Json nll = Json::array();
    for (const Candidate& one : candidates)
      nll.push_back(judged(one, runs));
    write_file_atomically(record, nll.dump() + "\n");
  }
  const Json nll = read_json_file(record);
  for (size_t i = 0; i < candidates.size(); ++i)
    candidates[i].nll = nll.at(i);
  const auto best =
      std::min_element(candidates.begin(), candidates.end(),
                       [](const Candidate& a, const Candidate& b) { return a.nll < b.nll; });
  return static_cast<size_t>(best - candidates.begin());
}

RequantRun::Significant RequantRun::find_significant(const Candidate& dense, const fs::path& runs) {
  Significant found;
  if (dense.budget.significant == 0) return found;
  const ModelInstead prepared(session_.input.model, prepared_for(dense));
  for (int64_t number = 0; number < settings_.steps; ++number) {
    const fs::path record = runs / (step_name(number) + ".json");
    const fs::path places = runs / (step_name(number) + ".safetensors");
    if (fs::exists(record)) {
      const SafetensorsFile file(places);
      found.places.clear();
      for (const auto& entry : file.entries())
        found.places[entry.first] = file.tensor(entry.first).clone();
    } else {
      const Json done = step(dense, runs, number, found.places);
      write_safetensors(places, found.places);
      write_file_atomically(record, done.dump(2) + "\n");
    }
    Json told = read_json_file(record);
    found.seconds.push_back(told.at("seconds"));
    told.erase("seconds");
    found.steps.push_back(std::move(told));
    fs::remove_all(runs / gradients_name(step_name(number)));
  }
  return found;
}

/// Adds to `found` what step `number`, counted from 0, detaches.
Json RequantRun::step(const Candidate& dense, const fs::path& runs, int64_t number,
                      WeightPlaces& found) {
  const auto start = std::chrono::steady_clock::now();
  const std::string name = "step " + std::to_string(number + 1);
  const auto way = std::make_shared<QuantizedDirection>(
      dense.directory.filename().string() + " " + digest_of(found), dense.directory, found);
  const int64_t total = dense.budget.significant;
  const int64_t count = total * (number + 1) / settings_.steps - total * number / settings_.steps;
  Json record = Json::object();
  std::optional<StatsStore> gradients, statistics;
  if (!ranking_.nodes.empty()) {
    const fs::path directory = runs / gradients_name(step_name(number));
    const ProbeOutcome outcome = probe(name, way, ranking_.nodes, directory);
    gradients = StatsStore::open(directory);
    record["nll_unquantized"] = outcome.mean_nll.front();
    record["nll_before"] = outcome.mean_nll.back();
  }
  if (!ranking_.statistics.empty()) {
    const fs::path directory = runs / kStatistics;
    if (!fs::exists(manifest_of(directory)))
      collect_statistics(session_, StatisticSet(ranking_.statistics), directory, listener_);
    statistics = StatsStore::open(directory);
  }
  const WeightPlaces taken = united(dense.outliers, found);
  const Chosen chosen =
      choose_weights(session_, dense.plan,
                     {ranking_, settings_, *way, gradients ? &*gradients : nullptr,
                      statistics ? &*statistics : nullptr, taken, count});
  found = united(found, chosen.places);
  record["weights"] = count_of(chosen.places);
  if (count_of(chosen.places) < count)
    listener_.note(name + ": " + std::to_string(count_of(chosen.places)) + " of " +
                   std::to_string(count) + " weights");
  if (gradients) record["predicted_change"] = chosen.predicted;
  record["seconds"] = seconds_since(start);
  return record;
}

Json RequantRun::told(const std::vector<Candidate>& candidates, const Candidate& best,
                      const Json& steps) const {
  Json tried = Json::array();
  for (const Candidate& one : candidates)
    tried.push_back({{"group_size", one.group_size},
                     {"exponent", one.exponent},
                     {"outliers", one.budget.outliers},
                     {"significant", one.budget.significant},
                     {"nll_held_back", one.nll < 0 ? Json() : Json(one.nll)},
                     {"chosen", &one == &best}});
  Json outliers = Json::object();
  for (const auto& [site, places] : best.outliers)
    outliers[site] = places.size(0);
  return {{"base", settings_.base},
          {"ranking", settings_.ranking},
          {"gradient_windows", session_.tokens.size(0)},
          {"candidates", tried},
          {"outliers", outliers},
          {"steps", steps}};
}

/// In place of the store of the partial directory, which is gone then, what it was made of.
void RequantRun::describe_statistics(QuantizeReport& report) const {
  if (!collects()) return;
  report.calibration.erase("statistics");
  if (!gradients_.in_place) return;
  report.calibration = session_.calibration;
  report.calibration["windows_used"] = session_.tokens.size(0);
  report.calibration["tokens_used"] = session_.tokens.numel();
  if (held_back_.defined()) report.calibration["windows_held_back"] = held_back_.size(0);
}

/// Puts the result together beside the checkpoint `best`, which stays as it is, so that an
/// interrupted run begins this anew.
void RequantRun::finish(const Candidate& best, const Significant& significant, const Json& told,
                        const fs::path& result) {
  const fs::path work = fs::path(result) += ".unfinished";
  fs::remove_all(work);
  fs::create_directories(work);
  for (const auto& entry : fs::directory_iterator(best.directory)) {
    const fs::path name = entry.path().filename();
    // The last are of a run that was killed right after its end.
    if (name != kSparseFile && name != "config.json" && name != kManifestFile &&
        name != "progress.json" && name.extension() != ".ptq-state")
      fs::create_hard_link(entry.path(), work / name);
  }
  Json manifest = read_json_file(best.directory / kManifestFile);
  QuantizeReport report = QuantizeReport::from_json(manifest);
  const int64_t before = report.sparse_bytes();
  const ModelInstead prepared(session_.input.model, prepared_for(best));
  add_single_weights(session_, {best.directory, work}, significant.places, report);
  report.settings = job_.to_json();
  report.method = told;
  describe_statistics(report);
  report.output_bytes += report.sparse_bytes() - before;
  if (report.sparse_bytes() > 0)
    for (EngineSupport& engine : report.engines)
      if (engine.loads)
        engine.note += std::string(engine.note.empty() ? "" : "; ") +
                       "the dense part alone, without the single weights";
  manifest.update(report.to_json());
  manifest["command"] = job_.command;
  manifest["timing"]["method_seconds"] = {{"steps", significant.seconds}};
  for (const char* name : {kSparseFile, "config.json"})
    if (fs::exists(work / name)) manifest["outputs"][name] = sha256_file(work / name);
  write_file_atomically(work / kManifestFile, manifest.dump(2) + "\n");
  if (job_.verify)
    for (const VerifyOutcome& outcome : verify_directory(work))
      if (!outcome.passed)
        throw Error("what was written does not verify: " + outcome.check + ": " + outcome.detail,
                    "the disk or the format is at fault; please report it");
  fs::rename(work, result);
}

}  // namespace ptq::detail
