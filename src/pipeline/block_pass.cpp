#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "output_error.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/quant/sparse_places.h"
#include "session.h"

namespace ptq::detail {
namespace {

/// Where the quantizer gets weights and statistics of a block on `device`.
at::Device working_device(const Session& session, at::Device device) {
  return session.quantizer->takes(device) ? device : at::Device(at::kCPU);
}

/// Packs a linear's weight into the block's shard, in place of what may be there.
void pack(Session& session, const LinearSite& site, QuantizedTensor weight, BlockResult& result) {
  const Stopwatch watch(session.seconds.write);
  for (const auto& [name, tensor] : session.format->pack(site, weight, session.dtype_of(site)))
    result.tensors.insert_or_assign(name, tensor);
  result.quantized.insert_or_assign(site.name, std::move(weight));
}

/// `weight` with zeros at `places`; itself without any.
at::Tensor without(const at::Tensor& weight, const at::Tensor& places) {
  if (!places.defined()) return weight;
  at::Tensor rest = weight.clone();
  rest.view({-1}).index_fill_(0, places.to(weight.device()), 0);
  return rest;
}

/// What stands at `places` of the quantized weight `rounded`: what was left out there, and what the
/// method made of the zero in its place, by which it may have balanced errors of other weights.
SparseWeight beside(const at::Tensor& rounded, const at::Tensor& original, const at::Tensor& places,
                    at::ScalarType dtype) {
  SparseWeight sum = sparse_at(original.cpu(), places);
  sum.values.add_(rounded.reshape({-1}).index_select(0, places));
  return storable(std::move(sum), dtype);
}

/// Quantizes one linear, puts the rounded weight in its place and files what came out.
void quantize_linear(Session& session, Linear& linear, const SiteStats& stats,
                     BlockResult& result) {
  const LinearSite& site = linear.site();
  const auto planned = session.plan.plan.find(site.name);
  if (planned == session.plan.plan.end()) return;
  session.listener.poll();
  double seconds = 0;
  QuantizedSite quantized;
  SparseWeight apart;
  const at::Tensor original = linear.weight();
  {
    const Stopwatch watch(seconds);
    const at::Device device = original.device();
    const at::Tensor places = session.apart(site);
    const at::Tensor weight = without(original, places).to(working_device(session, device));
    quantized = with_context("quantizing " + site.name, [&] {
      return session.quantizer->quantize({site, weight, stats, session.dtype_of(site)},
                                         planned->second);
    });
    at::Tensor rounded;
    if (places.defined() || session.calibrated()) rounded = quantized.weight.dequantize();
    if (places.defined()) {
      apart = with_context("leaving weights of " + site.name + " out", [&] {
        return beside(rounded, original, places, session.context.model_dtype);
      });
      rounded = apart.placed_in(rounded);
    }
    // Without calibration data nothing runs through the block.
    if (session.calibrated()) linear.set_weight(rounded.to(device));
  }
  session.seconds.quantize += seconds;
  if (session.job.measure_outputs) {
    const Stopwatch watch(session.seconds.statistics);
    quantized.relative_error =
        relative_output_error(original, quantized.weight, stats.sum(kOutputStatistic));
    if (session.quantizer->refines_blocks())
      result.measures.emplace(site.name, stats.sum(kOutputStatistic));
  }
  for (const std::string& fallback : quantized.fallbacks)
    session.listener.warning(site.name + ": " + fallback);
  SiteReport report{site.name,
                    site.block,
                    site.out_features,
                    site.in_features,
                    planned->second,
                    quantized.relative_error,
                    quantized.details,
                    quantized.fallbacks,
                    seconds,
                    apart.count(),
                    sparse_bytes(site.out_features, site.in_features, apart.count())};
  if (apart.count() > 0) result.apart.emplace(site.name, std::move(apart));
  result.reports.push_back(std::move(report));
  pack(session, site, std::move(quantized.weight), result);
}

/// What a store of statistics, if there is one, has for `linear`.
SiteStats stored_stats(Session& session, const Linear& linear) {
  if (!session.store) return {};
  return session.store->site_stats(linear.site(), session.statistics.names())
      .to(working_device(session, linear.weight().device()));
}

/// What the quantizer reads of a store beside the calibration data.
std::function<SiteStats(const LinearSite&)> beside_stats(Session& session) {
  return [&session](const LinearSite& site) {
    return session.store->site_stats(site, session.quantizer->stored_statistics());
  };
}

/// Lets the quantizer change the block as a whole and files what that changed beside the linears.
BlockNotes prepare(Session& session, Block& block, const at::Tensor& states, BlockResult& result) {
  std::vector<SiteStats> stats;
  {
    const Stopwatch watch(session.seconds.statistics);
    stats = collect_stages(block, states, session.block_statistics, session.sweep);
    for (SiteStats& stage : stats)
      stage = stage.to(at::kCPU);
  }
  const auto stored = [&](const std::string& name) { return session.dtype_of(name); };
  BlockNotes notes;
  {
    const Stopwatch watch(session.seconds.quantize);
    notes = session.quantizer->prepare_block(
        {block, states, stats, session.plan.plan, stored, beside_stats(session)});
  }
  for (const auto& [name, values] : block_vectors(block))
    result.tensors.emplace(name, values.cpu().to(stored(name)));
  if (session.job.prepared.empty()) return notes;
  for (const auto& [name, values] : block_vectors(block))
    result.prepared.emplace(name, values.cpu());
  for (const Stage& stage : block.stages())
    for (const Linear& linear : stage.linears)
      result.prepared.emplace(linear.site().name + ".weight", linear.weight().cpu());
  return notes;
}

/// Lets the quantizer improve the block as a whole and files what came out.  `states.quantized`:
/// the block's input, and then its output.
void refine(Session& session, Block& block, const Block& original, CalibrationStates& states,
            BlockResult& result) {
  std::map<std::string, at::Tensor> weights;
  for (const Stage& stage : original.stages())
    for (const Linear& linear : stage.linears)
      weights.emplace(linear.site().name, linear.weight().cpu());
  const auto stored = [&](const std::string& name) { return session.dtype_of(name); };
  std::map<std::string, QuantizedSite> better;
  {
    const Stopwatch watch(session.seconds.quantize);
    better = session.quantizer->refine_block({block, states.quantized, states.reference, weights,
                                              result.quantized, stored, beside_stats(session),
                                              session.sweep.poll});
  }
  for (SiteReport& report : result.reports) {
    const auto found = better.find(report.name);
    if (found == better.end()) continue;
    report.relative_error = found->second.relative_error;
    report.details.update(found->second.details);
    for (const std::string& fallback : found->second.fallbacks)
      session.listener.warning(report.name + ": " + fallback);
    report.fallbacks.insert(report.fallbacks.end(), found->second.fallbacks.begin(),
                            found->second.fallbacks.end());
    if (const auto with = result.measures.find(report.name); with != result.measures.end())
      report.relative_error =
          relative_output_error(weights.at(report.name), found->second.weight, with->second);
    pack(session, *session.site_of.at(report.name), std::move(found->second.weight), result);
  }
  result.measures.clear();
  const Stopwatch watch(session.seconds.forward);
  StageRunner runner(block, states.quantized, session.sweep);
  for (size_t stage = 0; stage < block.stages().size(); ++stage)
    runner.advance();
}

bool any_planned(const Session& session, const Stage& stage) {
  for (const Linear& linear : stage.linears)
    if (session.plan.plan.count(linear.site().name)) return true;
  return false;
}

}  // namespace

CalibrationStates CalibrationStates::embed(const Session& session, int64_t sequences) {
  CalibrationStates states;
  states.quantized =
      embed_sequences(*session.input.model, session.tokens.narrow(0, 0, sequences), session.sweep);
  if (session.compares()) states.reference = states.quantized.clone();
  return states;
}

BlockResult quantize_block(Session& session, Block& block, int64_t index,
                           CalibrationStates& states) {
  at::NoGradGuard no_grad;
  BlockResult result;
  std::optional<StageRunner> runner, reference;
  BlockNotes notes;
  const bool refines = states.quantized.defined() && session.quantizer->refines_blocks();
  const at::Tensor input = refines ? states.quantized.clone() : at::Tensor();
  if (states.quantized.defined()) {
    if (session.quantizer->prepares_blocks())
      notes = prepare(
          session, block,
          session.quantizer->prepares_unquantized() ? states.reference : states.quantized, result);
    runner.emplace(block, states.quantized, session.sweep);
  }
  std::unique_ptr<Block> original;  // the weights of `block` change on the way
  if (states.reference.defined()) {
    original = session.input.model->load_block(index);
    reference.emplace(*original, states.reference, session.sweep);
  }
  const StageRunner* compared =
      session.statistics.needs_reference() && reference ? &*reference : nullptr;
  for (Stage& stage : block.stages()) {
    SiteStats stats;
    if (runner && any_planned(session, stage)) {
      const Stopwatch watch(session.seconds.statistics);
      stats = runner->collect(session.statistics, compared);
      stats = stats.to(working_device(session, states.quantized.device()));
    }
    for (Linear& linear : stage.linears)
      quantize_linear(session, linear, runner ? stats : stored_stats(session, linear), result);
    if (runner) {
      const Stopwatch watch(session.seconds.forward);
      runner->advance();
      if (reference) reference->advance();
    }
  }
  if (refines && !result.quantized.empty()) {
    states.quantized = input;
    refine(session, block, *original, states, result);
  }
  for (SiteReport& report : result.reports)
    if (const auto note = notes.find(report.name); note != notes.end())
      report.details.update(note->second);
  for (const std::string& name : session.copied_tensors(session.input.model->block_prefix(index)))
    result.tensors.emplace(name, session.input.checkpoint->tensor(name));
  return result;
}

}  // namespace ptq::detail
