#include "session.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include <ATen/ATen.h>

#include "calibration_windows.h"
#include "input_identity.h"
#include "output_error.h"
#include "ptq/core/version.h"
#include "ptq/io/json.h"
#include "ptq/io/memory.h"
#include "ptq/model/device.h"
#include "ptq/report/table.h"
#include "scheme_trial.h"

namespace ptq::detail {
namespace {

void refuse_unused_options(const QuantizeJob& job) {
  for (const auto& item : job.plugin_options.items())
    if (item.key() != job.method && item.key() != job.format)
      throw ConfigError("--set " + item.key() + ".…: this run uses no plug-in of that name",
                        "it uses " + job.method + " and " + job.format + "; see ptq list");
}

/// The options for the format, or else for the method.  Where both have one name, an option is the
/// format's if that knows it.
Json options_of(const QuantizeJob& job, bool for_format) {
  Json options = job.plugin_options.value(for_format ? job.format : job.method, Json::object());
  if (job.method != job.format) return options;
  Json of_format = Json::object();
  for (const OptionInfo& info : formats().options(job.format)) {
    if (!options.contains(info.key)) continue;
    of_format[info.key] = options.at(info.key);
    options.erase(info.key);
  }
  return for_format ? of_format : options;
}

/// The statistics that the method reads, and what its error is measured by if that is asked for.
std::vector<std::string> statistics_for(const QuantizeJob& job, const Quantizer& quantizer) {
  std::vector<std::string> names = quantizer.statistics();
  if (job.measure_outputs && std::find(names.begin(), names.end(), kOutputStatistic) == names.end())
    names.emplace_back(kOutputStatistic);
  return names;
}

}  // namespace

int64_t memory_limit(const QuantizeJob& job) {
  return job.memory_limit_bytes > 0 ? job.memory_limit_bytes : physical_memory_bytes();
}

Session::Session(const QuantizeJob& the_job, ProgressListener& the_listener, bool stats_to_come)
    : job(the_job),
      listener(the_listener),
      input(open_directory(the_job.model, nullptr, open_device(the_job.device))) {
  if (!input.format.empty())
    throw UnsupportedError(job.model.string() + " is already quantized (" + input.format + ")",
                           "start from the full-precision checkpoint");
  refuse_unused_options(job);
  quantizer = quantizers().make(job.method, options_of(job, /*for_format=*/false));
  statistics = StatisticSet(statistics_for(job, *quantizer));
  block_statistics = StatisticSet(quantizer->block_statistics());
  format = formats().make(job.format, options_of(job, /*for_format=*/true));
  sites = input.model->sites();
  for (const LinearSite& site : sites) {
    site_of[site.name] = &site;
    // A missing or misshapen weight is found now, not after an hour of blocks.
    const TensorEntry& entry = input.checkpoint->entry(site.name + ".weight");
    if (entry.shape != std::vector<int64_t>{site.out_features, site.in_features})
      throw FormatError(site.name + ".weight has the shape " + Json(entry.shape).dump() +
                        ", but config.json gives [" + std::to_string(site.out_features) + "," +
                        std::to_string(site.in_features) + "]");
  }
  plan = resolve_plan(job.plan, sites, *format);
  require_made(job.method, *quantizer, plan.plan);
  warnings = plan.warnings;
  sweep.poll = [this] { listener.poll(); };
  if (job.plan.decided) check_decided();
  check_apart();
  context = {plan.plan, sites, dtype_of(sites.front()), version(), {{"name", job.method}}};
  if (const auto reason = format->unsupported(context))
    throw UnsupportedError("format " + job.format + ": " + *reason);
  if (quantizer->refines_blocks())
    if (const auto reason = quantizer->cannot_refine(*input.model->load_block(0)))
      throw UnsupportedError("method " + job.method + ": " + *reason);
  input_bytes = tensor_bytes(*input.checkpoint);
  const std::vector<std::string> beside = quantizer->stored_statistics();
  if (!beside.empty() && job.stats.empty() && !stats_to_come)
    throw ConfigError("method " + job.method + ": with these options it reads " + beside.front() +
                          " from a store of statistics",
                      "collect it with ptq calibrate and name the store with --stats DIR");
  if (!job.stats.empty())
    open_store(beside);
  else if (statistics.needs_gradients() && !stats_to_come)
    refuse_gradients();
  const bool instead = store || (stats_to_come && statistics.needs_gradients());
  if (!instead || !beside.empty())
    if (!statistics.empty() || runs_blocks()) load_calibration_data();
  if (const at::Device device = open_device(job.device); !quantizer->takes(device))
    warnings.push_back("--device " + job.device + ": method " + job.method +
                       " with these options works on the processor; weights and statistics are "
                       "copied there");
  estimate();
}

at::ScalarType Session::dtype_of(const LinearSite& site) const {
  return dtype_of(site.name + ".weight");
}

at::ScalarType Session::dtype_of(const std::string& tensor) const {
  return input.checkpoint->entry(tensor).dtype;
}

/// A plan is for the weights that its costs are of.
void Session::check_decided() {
  const SchemePlan& decided = *job.plan.decided;
  input_digests = input_identity(*input.checkpoint, job.model, sweep.poll);
  std::string changed;
  for (const std::string& line : differences(input_digests.at("model"), decided.model))
    changed += "\n  " + line;
  if (!changed.empty())
    throw ConfigError(decided.file.string() + " was made for another model:" + changed,
                      "make a plan for this one with ptq plan");
  if (decided.checkpoint_format != job.format)
    warnings.push_back(decided.file.string() + " counts the bytes of " + decided.checkpoint_format +
                       ", not of " + job.format);
}

void Session::check_apart() const {
  if (!job.apart.empty() && quantizer->refines_blocks())
    throw std::logic_error("weights stand apart of a method that refines blocks");
  if (!job.apart.empty() && job.measure_outputs)
    throw std::logic_error("outputs are not measured where weights stand apart");
  for (const auto& entry : job.apart)
    if (plan.plan.count(entry.first) == 0)
      throw std::logic_error("weights of " + entry.first + " stand apart, which is not quantized");
}

at::Tensor Session::apart(const LinearSite& site) const {
  const auto found = job.apart.find(site.name);
  return found == job.apart.end() ? at::Tensor() : found->second;
}

/// `beside`: what is read beside calibration data; none: the store stands for them.
void Session::open_store(const std::vector<std::string>& beside) {
  const bool instead = beside.empty();
  if (instead && !job.calibration.files.empty())
    throw ConfigError("--stats and --calibration exclude each other",
                      "the statistics were collected over a text already");
  if (instead && statistics.empty())
    throw ConfigError("--stats: method " + job.method + " reads no statistics", "leave it out");
  if (instead && runs_blocks())
    throw ConfigError("--stats: method " + job.method + " runs whole blocks on a text",
                      "name it with --calibration FILE instead");
  if (statistics.needs_reference())
    throw ConfigError("--stats: method " + job.method +
                          " compares the quantized model with the "
                          "full-precision one here, which no store can hold",
                      "give the text itself with --calibration");
  store = StatsStore::open(job.stats);
  store->require(instead ? statistics.names() : beside);
  if (input_digests.is_null())
    input_digests = input_identity(*input.checkpoint, job.model, sweep.poll);
  store->check_model(input_digests);
  if (!instead) return;
  for (const LinearSite& site : sites)
    if (const auto warning =
            quantizer->data_warning(store->manifest().counts.tokens, site.in_features))
      warnings.push_back(site.name + ": " + *warning);
  calibration = {{"statistics", job.stats.string()}, {"store", store->manifest().to_json()}};
}

void Session::refuse_gradients() const {
  std::string names;
  for (const std::string& name : statistics.names())
    names += (names.empty() ? "" : ",") + name;
  throw ConfigError("method " + job.method + " reads statistics with gradients here (" + names +
                        "), and ptq quantize makes no backward pass",
                    "collect them first: ptq calibrate MODEL --calibration FILE --collect " +
                        names + " --out DIR; then give --stats DIR instead of --calibration");
}

void Session::load_calibration_data() {
  const Stopwatch watch(seconds.data);
  if (job.calibration.files.empty())
    throw ConfigError("method " + job.method + " needs calibration data",
                      "name a text with --calibration FILE");
  CalibrationWindows windows = read_calibration(job.calibration, job.model, input.model->config());
  tokens = windows.tokens;
  if (const auto reason = quantizer->too_few(tokens.size(0)))
    throw ConfigError("method " + job.method + ": " + *reason, "raise --samples");
  calibration = std::move(windows.report);
  if (store)
    calibration.update(
        {{"statistics", job.stats.string()}, {"store", store->manifest().to_json()}});
  warnings.insert(warnings.end(), windows.warnings.begin(), windows.warnings.end());
  std::set<int64_t> widths;
  for (const LinearSite& site : sites)
    if (plan.plan.count(site.name)) widths.insert(site.in_features);
  for (const int64_t width : widths)
    if (const auto warning = quantizer->data_warning(tokens.numel(), width))
      warnings.push_back(*warning);
}

int64_t Session::packed_bytes(const LinearSite& site, const QuantScheme& scheme) {
  return packed_sizes_.of(*format, site, scheme, dtype_of(site));
}

void Session::estimate() {
  output_bytes = input_bytes;
  int64_t largest_block = 0;
  int64_t widest = 0, sums = 0, workspace = 0;
  std::map<int, int64_t> block_bytes;
  std::map<int, std::vector<LinearSite>> block_sites;
  for (const LinearSite& site : sites) {
    block_sites[site.block].push_back(site);
    largest_block = std::max(largest_block,
                             block_bytes[site.block] += site.out_features * site.in_features * 4);
    widest = std::max(widest, site.in_features);
    sums = std::max(sums, statistics.bytes({site}));
    if (const auto planned = plan.plan.find(site.name); planned != plan.plan.end()) {
      workspace = std::max(workspace, quantizer->workspace_bytes(site));
      if (job.measure_outputs)
        workspace = std::max(workspace, output_error_bytes(site.out_features, site.in_features));
      output_bytes += packed_bytes(site, planned->second) -
                      tensor_bytes(*input.checkpoint, site.name + ".weight");
      if (const at::Tensor places = apart(site); places.defined())
        output_bytes += sparse_bytes(site.out_features, site.in_features, places.size(0));
    }
  }
  for (const auto& entry : block_sites) {
    sums = std::max(sums, block_statistics.bytes(entry.second));
    if (job.measure_outputs && quantizer->refines_blocks())
      sums = std::max(sums, statistics.bytes(entry.second));
    if (!calibrated()) continue;
    workspace = std::max(
        {workspace, quantizer->prepare_bytes(entry.second, tokens.size(0), tokens.size(1)),
         quantizer->refine_bytes(entry.second, std::max(sweep.batch_tokens, tokens.size(1)))});
  }
  const int64_t limit = memory_limit(job);
  // The block in float32 and once more as stored pages and codes; a stage's statistics and what
  // the quantizer makes of them.
  int64_t fixed = kBaseBytes + 2 * largest_block + sums + workspace;
  // Outside the blocks one tensor at a time is in memory: beside the blocks without calibration
  // data, after them with it.
  int64_t outside = 0;
  for (const std::string& name : tensors_outside_blocks())
    outside = std::max(outside, tensor_bytes(*input.checkpoint, name));
  if (!calibrated()) fixed += outside;
  int64_t kept = 0;
  if (calibrated()) {
    const int64_t count = tokens.numel();
    const int64_t models = compares() ? 2 : 1;  // the full-precision block beside the quantized
    // What refines a block reads the block's input once more when its output is there.
    const int64_t states = models + (quantizer->refines_blocks() ? 1 : 0);
    fixed += states * count * input.model->config().hidden * 4 + (models - 1) * largest_block;
    kept = models * count * widest * 4;
    const int64_t left = std::max<int64_t>(0, limit - fixed);
    sweep.activation_bytes = left / models;
    replays = kept > left;
  }
  memory_bytes = std::max(fixed + (replays ? 0 : kept), kBaseBytes + outside);
  if (memory_bytes > limit)
    throw ResourceError(
        "the run needs about " + human_bytes(memory_bytes) + ", the limit is " + human_bytes(limit),
        "use fewer --samples, a shorter --seqlen, or raise --memory-limit");
}

std::vector<std::string> Session::copied_tensors(const std::string& prefix) const {
  std::vector<std::string> copied;
  for (const std::string& name : input.checkpoint->names()) {
    if (name.rfind(prefix, 0) != 0) continue;
    const size_t dot = name.rfind(".weight");
    const bool replaced =
        dot != std::string::npos && dot + 7 == name.size() && plan.plan.count(name.substr(0, dot));
    if (!replaced) copied.push_back(name);
  }
  return copied;
}

std::vector<std::string> Session::tensors_outside_blocks() const {
  std::set<std::string> inside;
  for (int64_t index = 0; index < input.model->config().blocks; ++index)
    for (const std::string& name : input.checkpoint->names())
      if (name.rfind(input.model->block_prefix(index), 0) == 0) inside.insert(name);
  std::vector<std::string> outside;
  for (const std::string& name : input.checkpoint->names())
    if (!inside.count(name)) outside.push_back(name);
  return outside;
}

}  // namespace ptq::detail
