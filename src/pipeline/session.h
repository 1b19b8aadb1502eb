#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "packed_sizes.h"
#include "ptq/calib/store.h"
#include "ptq/calib/sweep.h"
#include "ptq/formats/open.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/pipeline/quantize.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq::detail {

/// Adds the seconds of its lifetime to `sum`.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { sum_ += seconds(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& sum_;
  std::chrono::steady_clock::time_point start_;
};

/// What the process holds before any model data: LibTorch and its libraries.
constexpr int64_t kBaseBytes = int64_t{220} << 20;

/// The memory that a run of `job` may take.
int64_t memory_limit(const QuantizeJob& job);

/// Everything a quantize run needs that is known before the first block: opened, checked, resolved.
struct Session {
  const QuantizeJob& job;
  ProgressListener& listener;
  OpenedModel input;
  std::vector<LinearSite> sites;
  std::map<std::string, const LinearSite*> site_of;
  std::unique_ptr<Quantizer> quantizer;
  StatisticSet statistics;        ///< what the quantizer reads
  StatisticSet block_statistics;  ///< what it reads of whole blocks beforehand
  /// Where it is read from instead of calibration data, or `stored_statistics` beside it.
  std::optional<StatsStore> store;
  std::unique_ptr<CheckpointFormat> format;
  ResolvedPlan plan;
  FormatContext context;
  Json input_digests;  ///< input_identity, where a store or a plan was compared with it; else null
  at::Tensor tokens;   ///< int64 [sequences, seq]; undefined without calibration
  Json calibration;    ///< CalibrationReport, or null
  int64_t input_bytes = 0, output_bytes = 0, memory_bytes = 0;
  SweepSettings sweep;
  bool replays = false;
  std::vector<std::string> warnings;
  PhaseSeconds seconds;

  /// Opens, resolves and checks all that can be known without work; throws before anything is
  /// written.  `stats_to_come`: to plan, not to run: the statistics that `job` has no store of will
  /// be there.
  Session(const QuantizeJob& job, ProgressListener& listener, bool stats_to_come = false);

  bool calibrated() const { return tokens.defined(); }
  /// True if the quantizer runs whole blocks on the calibration data.
  bool runs_blocks() const { return quantizer->prepares_blocks() || quantizer->refines_blocks(); }
  /// True if the full-precision model runs beside the quantized one.
  bool compares() const {
    return calibrated() && (statistics.needs_reference() || quantizer->refines_blocks() ||
                            quantizer->prepares_unquantized());
  }
  at::ScalarType dtype_of(const LinearSite& site) const;
  at::ScalarType dtype_of(const std::string& tensor) const;
  /// The places of `site` whose weights stand apart; undefined where there are none.
  at::Tensor apart(const LinearSite& site) const;
  /// Bytes of `site` on disk in the output.
  int64_t packed_bytes(const LinearSite& site, const QuantScheme& scheme);
  /// Names of the input's tensors under `prefix` that are copied unchanged.
  std::vector<std::string> copied_tensors(const std::string& prefix) const;
  /// Names of the tensors outside all blocks, a tied head left out.
  std::vector<std::string> tensors_outside_blocks() const;

 private:
  void load_calibration_data();
  void check_decided();
  void check_apart() const;
  void open_store(const std::vector<std::string>& beside);
  [[noreturn]] void refuse_gradients() const;
  void estimate();
  PackedSizes packed_sizes_;
};

/// What quantizing one block gave.
struct BlockResult {
  std::map<std::string, at::Tensor> tensors;         ///< the block's shard
  std::map<std::string, QuantizedTensor> quantized;  ///< by site, to verify the shard with
  std::map<std::string, at::Tensor> prepared;        ///< for QuantizeJob::prepared
  SparseWeights apart;  ///< by site, what stands beside it: QuantizeJob::apart
  std::vector<SiteReport> reports;
  /// By site, the Gram matrices that outputs are measured with once more when the block was
  /// refined; empty unless asked for.
  std::map<std::string, at::Tensor> measures;
};

/// The calibration sequences in front of a block: float32 [sequences, seq, hidden].
struct CalibrationStates {
  at::Tensor quantized;  ///< behind quantized blocks; undefined without calibration
  at::Tensor reference;  ///< behind the full-precision ones; undefined unless Session::compares

  /// Those in front of block 0 of the first `sequences` of the session's.
  static CalibrationStates embed(const Session& session, int64_t sequences);
};

/// Quantizes `block` stage by stage and moves `states` through it.
BlockResult quantize_block(Session& session, Block& block, int64_t index,
                           CalibrationStates& states);

}  // namespace ptq::detail
