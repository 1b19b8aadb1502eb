#include "ptq/pipeline/quantize.h"

#include <algorithm>
#include <future>
#include <set>

#include <ATen/ATen.h>

#include "ptq/core/version.h"
#include "ptq/io/checkpoint_writer.h"
#include "ptq/io/file.h"
#include "ptq/io/inventory.h"
#include "ptq/io/memory.h"
#include "ptq/io/sha256.h"
#include "run_state.h"
#include "session.h"

namespace ptq {
namespace {

using detail::BlockResult;
using detail::RunState;
using detail::Session;
using detail::Stopwatch;

/// One shard file as a source of tensors, to read back what was just written.
class ShardSource : public TensorSource {
 public:
  explicit ShardSource(const std::filesystem::path& path) : file_(path) {}
  bool contains(const std::string& name) const override { return file_.entries().count(name) > 0; }
  at::Tensor tensor(const std::string& name) const override { return file_.tensor(name); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& entry : file_.entries())
      names.push_back(entry.first);
    return names;
  }

 private:
  SafetensorsFile file_;
};

bool same(const QuantizedTensor& a, const QuantizedTensor& b) {
  return a.q.equal(b.q) && a.scale.equal(b.scale) && a.zero.equal(b.zero) &&
         a.group_of.equal(b.group_of);
}

/// SHA-256 of everything the run reads, by file.
Json input_hashes(const Session& session) {
  Json hashes = Json::object();
  std::vector<std::filesystem::path> files = session.input.checkpoint->tensor_files();
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"})
    files.push_back(session.job.model / name);
  for (const auto& file : files)
    if (std::filesystem::exists(file)) hashes[file.filename().string()] = sha256_file(file);
  return hashes;
}

std::string digest_of(const at::Tensor& tokens) {
  if (!tokens.defined()) return "";
  const at::Tensor ids = tokens.contiguous();
  return sha256_hex({static_cast<const char*>(ids.data_ptr()), ids.nbytes()});
}

/// The run itself: blocks, then the rest, then the directory's metadata.
class QuantizeRun {
 public:
  QuantizeRun(Session& session, CheckpointWriter& writer, RunState& state)
      : session_(session), writer_(writer), state_(state) {}

  void blocks();
  void rest();
  QuantizeReport report() const;

 private:
  void resume_block(Block& block, int64_t index);
  void advance(Block& block);
  void store(BlockResult result, int64_t index);
  void wait() {
    if (pending_.valid()) pending_.get();
  }
  void check_fallbacks() const;

  Session& session_;
  CheckpointWriter& writer_;
  RunState& state_;
  at::Tensor states_;
  std::vector<SiteReport> reports_;
  std::future<void> pending_;  // the shard being written while the next block is worked on
  int resumed_ = 0;
  double write_seconds_ = 0, verify_seconds_ = 0;
};

void QuantizeRun::blocks() {
  const CausalLM& model = *session_.input.model;
  const int64_t count = model.config().blocks;
  if (session_.calibrated()) {
    const Stopwatch watch(session_.seconds.forward);
    states_ = embed_sequences(model, session_.tokens, session_.sweep);
  }
  session_.listener.begin("quantizing", count);
  auto loading = std::make_unique<Stopwatch>(session_.seconds.load);
  forward_sweep(model, [&](Block& block, int64_t index) {
    loading.reset();
    session_.listener.poll();
    if (state_.finished(index)) {
      resume_block(block, index);
    } else {
      BlockResult result = with_context("in block " + std::to_string(index), [&] {
        return detail::quantize_block(session_, block, index, states_);
      });
      double error = 0;
      for (const SiteReport& site : result.reports)
        error = std::max(error, site.relative_error);
      reports_.insert(reports_.end(), result.reports.begin(), result.reports.end());
      check_fallbacks();
      store(std::move(result), index);
      session_.listener.step(index + 1, "block " + std::to_string(index) +
                                            ": worst relative error " + std::to_string(error));
    }
    loading = std::make_unique<Stopwatch>(session_.seconds.load);
  });
  loading.reset();
  wait();
  states_ = at::Tensor();
}

void QuantizeRun::check_fallbacks() const {
  int count = 0;
  std::string last;
  for (const SiteReport& site : reports_)
    for (const std::string& fallback : site.fallbacks)
      ++count, last = site.name + ": " + fallback;
  if (count > session_.job.max_fallbacks)
    throw NumericalError(
        std::to_string(count) + " fallbacks, " + std::to_string(session_.job.max_fallbacks) +
            " allowed; the last: " + last,
        "give more calibration data, raise the damping, or allow them with --max-fallbacks");
}

/// A finished block is not quantized again: its stored weights carry the calibration data on.
void QuantizeRun::resume_block(Block& block, int64_t index) {
  ++resumed_;
  reports_.insert(reports_.end(), state_.reports(index).begin(), state_.reports(index).end());
  if (session_.calibrated()) {
    const ShardSource shard(writer_.shard_path(static_cast<int>(index)));
    for (Stage& stage : block.stages())
      for (Linear& linear : stage.linears)
        if (const auto planned = session_.plan.plan.find(linear.site().name);
            planned != session_.plan.plan.end())
          linear.set_weight(
              session_.format->unpack(linear.site(), planned->second, shard).dequantize());
    const Stopwatch watch(session_.seconds.forward);
    // Stage by stage, as the run that was interrupted did: the same sums in the same order.
    StageRunner runner(block, states_, session_.sweep);
    for (size_t stage = 0; stage < block.stages().size(); ++stage)
      runner.advance();
  }
  session_.listener.step(index + 1,
                         "block " + std::to_string(index) + ": kept from the interrupted run");
}

void QuantizeRun::store(BlockResult result, int64_t index) {
  wait();
  pending_ = std::async(std::launch::async, [this, index, result = std::move(result)] {
    {
      const Stopwatch watch(write_seconds_);
      writer_.add_shard(static_cast<int>(index), result.tensors);
    }
    if (session_.job.verify) {
      const Stopwatch watch(verify_seconds_);
      const ShardSource shard(writer_.shard_path(static_cast<int>(index)));
      for (const auto& [name, weight] : result.quantized)
        if (!same(session_.format->unpack(*session_.site_of.at(name), weight.scheme, shard),
                  weight))
          throw Error("what was written of " + name + " does not read back as what was quantized",
                      "the disk or the format is at fault; please report it");
    }
    for (const auto& entry : result.tensors)
      session_.input.checkpoint->release(entry.first);
    state_.record(index, result.reports);
  });
}

void QuantizeRun::rest() {
  const auto index = static_cast<int>(session_.input.model->config().blocks);
  const Stopwatch watch(write_seconds_);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : session_.tensors_outside_blocks())
    tensors.emplace(name, session_.input.checkpoint->tensor(name));
  writer_.add_shard(index, tensors);
  for (const auto& entry : tensors)
    session_.input.checkpoint->release(entry.first);
}

QuantizeReport QuantizeRun::report() const {
  QuantizeReport report;
  report.settings = session_.job.to_json();
  report.calibration = session_.calibration;
  report.sites = reports_;
  report.skipped = session_.plan.skipped;
  report.warnings = session_.warnings;
  report.engines = session_.format->engines(session_.context);
  report.input_bytes = session_.input_bytes;
  report.output_bytes = session_.output_bytes;
  report.seconds = session_.seconds;
  report.seconds.write += write_seconds_;
  report.seconds.verify = verify_seconds_;
  report.resumed_blocks = resumed_;
  report.peak_rss_bytes = peak_rss_bytes();
  return report;
}

/// What was read against what is in `partial`, before it becomes the output.
void check_inventory(const Session& session, const CheckpointWriter& writer) {
  std::set<std::string> replaced;
  for (const auto& entry : session.plan.plan)
    replaced.insert(entry.first);
  const Checkpoint output(writer.partial_directory());
  const auto differences = inventory_differences(*session.input.checkpoint, output, replaced);
  if (!differences.empty())
    throw Error("the output's inventory does not match the input: " + differences.front() + " (" +
                std::to_string(differences.size()) + " differences)");
}

void write_manifest(const QuantizeJob& job, const QuantizeReport& report,
                    const std::filesystem::path& directory) {
  Json outputs = Json::object();
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files.insert(entry.path());
  for (const auto& file : files)
    if (file.filename() != "progress.json") outputs[file.filename().string()] = sha256_file(file);
  Json manifest = report.to_json();
  manifest["tool"] = {{"name", "ptq"}, {"version", version()}};
  manifest["command"] = job.command;
  manifest["outputs"] = outputs;
  manifest["timing"] = report.timing_json();
  write_file_atomically(directory / "ptq-manifest.json", manifest.dump(2) + "\n");
}

Json output_config(const Session& session) {
  Json config = session.input.checkpoint->config();
  config["quantization_config"] = session.format->config(session.context);
  return config;
}

QuantizeReport run(Session& session, CheckpointWriter& writer, const Stopwatch& wall) {
  Json inputs;
  {
    const Stopwatch watch(session.seconds.hash);
    inputs = {{"files", input_hashes(session)}, {"calibration_ids", digest_of(session.tokens)}};
  }
  RunState state(writer.partial_directory(),
                 {{"version", version()}, {"settings", session.job.to_json()}, {"inputs", inputs}});
  if (session.job.resume) {
    state.resume();
    int64_t whole = 0;
    while (whole < state.blocks() && writer.has_shard(static_cast<int>(whole)))
      ++whole;
    state.keep(whole);
  }
  state.save();
  QuantizeRun quantize(session, writer, state);
  quantize.blocks();
  quantize.rest();
  QuantizeReport report;
  writer.finish(output_config(session), [&] {
    for (const auto& [name, content] : session.format->extra_files(session.context))
      write_file_atomically(writer.partial_directory() / name, content.dump(2) + "\n");
    check_inventory(session, writer);
    report = quantize.report();
    report.inputs = inputs;
    report.wall_seconds = wall.seconds();
    write_manifest(session.job, report, writer.partial_directory());
  });
  return report;
}

}  // namespace

QuantizeReport quantize_checkpoint(const QuantizeJob& job, ProgressListener& listener) {
  double wall_seconds = 0;
  const Stopwatch wall(wall_seconds);
  Session session(job, listener);
  for (const std::string& warning : session.warnings)
    listener.warning(warning);
  require_disk_space(job.out, session.output_bytes + (session.output_bytes >> 6));
  CheckpointWriter writer({job.out, job.model,
                           static_cast<int>(session.input.model->config().blocks) + 1,
                           job.overwrite, job.resume});
  try {
    return run(session, writer, wall);
  } catch (const std::exception& error) {
    // A run that would fail again leaves nothing; an interruption or a full disk can be resumed.
    const int code = exit_code_of(error);
    if (code != InterruptedError("").exit_code() && code != ResourceError("").exit_code() &&
        !job.resume)
      writer.discard();
    throw;
  }
}

}  // namespace ptq
