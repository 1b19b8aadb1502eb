#include "quantize_run.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/io/memory.h"
#include "ptq/io/safetensors.h"
#include "ptq/io/sha256.h"
#include "thread_count.h"

namespace ptq::detail {
namespace {

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

// What follows a linear's name in the file of a block's single weights.
constexpr const char* kRows = ".row_begin";
constexpr const char* kColumns = ".columns";
constexpr const char* kValues = ".values";

std::map<std::string, at::Tensor> tensors_of(const SparseWeights& weights) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [site, sparse] : weights) {
    tensors[site + kRows] = sparse.row_begin;
    tensors[site + kColumns] = sparse.columns;
    tensors[site + kValues] = sparse.values;
  }
  return tensors;
}

void put_apart(Block& block, const SparseWeights& apart) {
  for (Stage& stage : block.stages())
    for (Linear& linear : stage.linears)
      if (const auto found = apart.find(linear.site().name); found != apart.end())
        linear.set_weight(
            found->second.placed_in(linear.weight().cpu()).to(linear.weight().device()));
}

/// For bytes: several times faster than Tensor::equal of old releases.
bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor left = a.contiguous(), right = b.contiguous();
  return left.sizes() == right.sizes() && left.scalar_type() == right.scalar_type() &&
         std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0;
}

bool same(const QuantizedTensor& a, const QuantizedTensor& b) {
  const bool values = a.scheme.lookup
                          ? b.scheme.lookup && a.table.equal(b.table)
                          : !b.scheme.lookup && a.scale.equal(b.scale) && a.zero.equal(b.zero);
  return values && same_bytes(a.q, b.q) && a.group_of.equal(b.group_of);
}

}  // namespace

void QuantizeRun::blocks() {
  // With calibration data the rest waits for its end: its pages would come on top of the
  // activations.  Without, writing a block takes as long as quantizing it: a processor is left to
  // the worker.
  const bool calibrated = session_.calibrated();
  std::optional<ThreadCount> threads;
  if (!calibrated) {
    threads.emplace(std::max(1, at::get_num_threads() - 1));
    start_rest();
  }
  // Read once: from the first store on, the writing thread adds to the state.
  const int64_t kept = state_.blocks();
  const CausalLM& model = *session_.input.model;
  const int64_t count = model.config().blocks;
  if (calibrated) {
    const Stopwatch watch(session_.seconds.forward);
    states_ = CalibrationStates::embed(session_, session_.tokens.size(0));
  }
  session_.listener.begin("quantizing", count, kept);
  auto loading = std::make_unique<Stopwatch>(session_.seconds.load);
  forward_sweep(model, [&](Block& block, int64_t index) {
    loading.reset();
    session_.listener.poll();
    if (index < kept) {
      resume_block(block, index);
    } else {
      BlockResult result = with_context("in block " + std::to_string(index), [&] {
        return quantize_block(session_, block, index, states_);
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
  worker_.wait();
  states_ = {};
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

/// As the run that was interrupted did: the same sums in the same order.
void QuantizeRun::advance_by_stages(const Block& block, at::Tensor& states) {
  const Stopwatch watch(session_.seconds.forward);
  StageRunner runner(block, states, session_.sweep);
  for (size_t stage = 0; stage < block.stages().size(); ++stage)
    runner.advance();
}

std::filesystem::path QuantizeRun::apart_file(int64_t index) const {
  return writer_.partial_directory() / ("apart-" + std::to_string(index) + ".ptq-state");
}

SparseWeights QuantizeRun::read_apart(int64_t index) const {
  SparseWeights read;
  std::optional<SafetensorsFile> file;
  for (const auto& [site, places] : session_.job.apart) {
    if (session_.site_of.at(site)->block != index) continue;
    if (!file) file.emplace(apart_file(index));
    read[site] = {file->tensor(site + kRows).clone(), file->tensor(site + kColumns).clone(),
                  file->tensor(site + kValues).clone()};
  }
  return read;
}

SparseWeights QuantizeRun::apart() const {
  SparseWeights all;
  for (int64_t index = 0; index < session_.input.model->config().blocks; ++index)
    all.merge(read_apart(index));
  return all;
}

/// A finished block is not quantized again: its stored weights carry the calibration data on.
void QuantizeRun::resume_block(Block& block, int64_t index) {
  ++resumed_;
  reports_.insert(reports_.end(), state_.reports(index).begin(), state_.reports(index).end());
  if (session_.compares()) advance_by_stages(block, states_.reference);
  if (session_.calibrated()) {
    const ShardSource shard(writer_.shard_path(static_cast<int>(index)));
    for (Stage& stage : block.stages())
      for (Linear& linear : stage.linears)
        if (const auto planned = session_.plan.plan.find(linear.site().name);
            planned != session_.plan.plan.end())
          linear.set_weight(session_.format->unpack(linear.site(), planned->second, shard)
                                .dequantize()
                                .to(states_.quantized.device()));
    put_apart(block, read_apart(index));
    if (session_.quantizer->prepares_blocks())
      for (const auto& entry : block_vectors(block))
        set_block_vector(block, entry.first,
                         shard.tensor(entry.first)
                             .to(states_.quantized.device(), at::kFloat, false, /*copy=*/true));
    advance_by_stages(block, states_.quantized);
  }
  session_.listener.step(index + 1,
                         "block " + std::to_string(index) + ": kept from the interrupted run");
}

void QuantizeRun::store(BlockResult result, int64_t index) {
  worker_.start([this, index, result = std::move(result)] {
    {
      const Stopwatch watch(write_seconds_);
      // First: a shard that is there stands for a whole block.
      if (!result.apart.empty()) write_safetensors(apart_file(index), tensors_of(result.apart));
      if (!result.prepared.empty())
        write_safetensors(stats_block_file(session_.job.prepared, index), result.prepared);
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
    // Now, and not at the end: what was just written is still in memory.
    const auto path = writer_.shard_path(static_cast<int>(index));
    shard_hashes_[path.filename().string()] = sha256_file(path);
    state_.record(index, result.reports);
  });
}

void QuantizeRun::start_rest() {
  rest_ = std::async(std::launch::async, [this] {
    const ThreadCount one(1);
    const auto stop_if_asked = [this] {
      if (stopped_) throw InterruptedError("interrupted");
    };
    const auto index = static_cast<int>(session_.input.model->config().blocks);
    std::map<std::string, at::Tensor> tensors;
    for (const std::string& name : session_.tensors_outside_blocks())
      tensors.emplace(name, session_.input.checkpoint->tensor(name));
    writer_.add_shard(index, tensors, [&](const std::string& name) {
      session_.input.checkpoint->release(name);
      stop_if_asked();
    });
    return sha256_file(writer_.shard_path(index), stop_if_asked);
  });
}

void QuantizeRun::rest() {
  const Stopwatch watch(write_seconds_);
  if (!rest_.valid()) start_rest();
  wait_for(rest_, [this] { session_.listener.poll(); });
  const auto index = static_cast<int>(session_.input.model->config().blocks);
  shard_hashes_[writer_.shard_path(index).filename().string()] = rest_.get();
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

}  // namespace ptq::detail
