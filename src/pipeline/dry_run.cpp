#include "dry_run.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/pipeline/model_method.h"
#include "ptq/report/table.h"

namespace ptq {
namespace detail {
namespace {

double measure(Session& session) {
  const CausalLM& model = *session.input.model;
  const auto block = model.load_block(0);
  CalibrationStates states;
  double scale = 1;
  if (session.calibrated()) {
    const int64_t all = session.tokens.size(0);
    int64_t some =
        std::min(all, std::max<int64_t>(1, session.sweep.batch_tokens / session.tokens.size(1)));
    while (some < all && session.quantizer->too_few(some))
      ++some;
    states = CalibrationStates::embed(session, some);
    scale = static_cast<double>(all) / static_cast<double>(some);
  }
  quantize_block(session, *block, 0, states);
  const PhaseSeconds& seconds = session.seconds;
  const double a_block =
      seconds.quantize + scale * (seconds.statistics + seconds.forward) + seconds.write;
  return a_block * static_cast<double>(model.config().blocks);
}

}  // namespace

double measured_seconds(Session& session) {
  return with_context("measuring block 0", [&] { return measure(session); });
}

QuantizePlan plan_of(Session& session) {
  QuantizePlan plan;
  for (const LinearSite& site : session.sites)
    if (const auto planned = session.plan.plan.find(site.name); planned != session.plan.plan.end())
      plan.rows.push_back({site, planned->second, session.packed_bytes(site, planned->second)});
  plan.skipped = session.plan.skipped;
  plan.warnings = session.warnings;
  plan.engines = session.format->engines(session.context);
  plan.input_bytes = session.input_bytes;
  plan.output_bytes = session.output_bytes;
  plan.disk_bytes = session.output_bytes;
  plan.memory_bytes = session.memory_bytes;
  plan.replays = session.replays;
  plan.calibration = session.calibration;
  return plan;
}

}  // namespace detail

QuantizePlan plan_quantize(const QuantizeJob& job, ProgressListener& listener) {
  if (const auto method = model_method_of(job)) return method->plan(job, listener);
  detail::Session session(job, listener);
  QuantizePlan plan = detail::plan_of(session);
  plan.estimated_seconds = detail::measured_seconds(session);
  return plan;
}

Json QuantizePlan::to_json() const {
  Json linears = Json::array();
  for (const Row& row : rows)
    linears.push_back({{"name", row.site.name},
                       {"shape", {row.site.out_features, row.site.in_features}},
                       {"scheme", row.scheme.name()},
                       {"bytes", row.bytes}});
  Json support = Json::array();
  for (const EngineSupport& engine : engines)
    support.push_back({{"engine", engine.engine}, {"loads", engine.loads}, {"note", engine.note}});
  return {{"linears", linears},
          {"skipped", skipped},
          {"warnings", warnings},
          {"notes", notes},
          {"engines", support},
          {"bytes", {{"input", input_bytes}, {"output", output_bytes}}},
          {"disk_bytes", disk_bytes},
          {"memory_bytes", memory_bytes},
          {"replays_activations", replays},
          {"runs", runs},
          {"estimated_seconds", estimated_seconds < 0 ? Json() : Json(estimated_seconds)},
          {"calibration", calibration}};
}

std::string QuantizePlan::text() const {
  Table table({"linear", "shape", "scheme", "bytes"});
  for (const Row& row : rows)
    table.add({row.site.name,
               std::to_string(row.site.out_features) + " x " + std::to_string(row.site.in_features),
               row.scheme.name(), std::to_string(row.bytes)});
  std::string text = table.text();
  for (const std::string& name : skipped)
    text += name + ": left as it is\n";
  text += "\ntensors " + human_bytes(input_bytes) + " -> " + human_bytes(output_bytes) + " on disk";
  if (disk_bytes > output_bytes)
    text += ", at most " + human_bytes(disk_bytes) + " before the run ends";
  text += "\n";
  text += "memory about " + human_bytes(memory_bytes) +
          (replays ? ", activations recomputed to stay below the limit\n" : "\n");
  const std::string times = runs > 1 ? ", times " + std::to_string(runs) + " runs" : "";
  text += estimated_seconds < 0 ? "time not known\n"
                                : "time about " + human_seconds(estimated_seconds) +
                                      " (block 0 measured" + times + ")\n";
  for (const std::string& note : notes)
    text += note + "\n";
  for (const EngineSupport& engine : engines)
    text += engine.engine + ": " + (engine.loads ? "loads it" : "does not load it") +
            (engine.note.empty() ? "" : " (" + engine.note + ")") + "\n";
  return text + "nothing was written\n";
}

}  // namespace ptq
