#pragma once
#include <atomic>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "ptq/io/checkpoint_writer.h"
#include "run_state.h"
#include "session.h"
#include "worker.h"

namespace ptq::detail {

/// The run itself: the blocks, and the tensors outside them.
class QuantizeRun {
 public:
  QuantizeRun(Session& session, CheckpointWriter& writer, RunState& state)
      : session_(session),
        writer_(writer),
        state_(state),
        worker_([&session] { session.listener.poll(); }) {}
  /// Ends early what is still written of the rest.
  ~QuantizeRun() { stopped_ = true; }
  QuantizeRun(const QuantizeRun&) = delete;
  QuantizeRun& operator=(const QuantizeRun&) = delete;

  void blocks();
  void rest();
  QuantizeReport report() const;
  /// The single weights of all blocks, by linear.
  SparseWeights apart() const;
  /// SHA-256 of the shards that this run wrote, by file name.
  const std::map<std::string, std::string>& shard_hashes() const& { return shard_hashes_; }

 private:
  void resume_block(Block& block, int64_t index);
  void advance_by_stages(const Block& block, at::Tensor& states);
  void store(BlockResult result, int64_t index);
  void start_rest();
  std::filesystem::path apart_file(int64_t index) const;
  SparseWeights read_apart(int64_t index) const;
  void check_fallbacks() const;

  Session& session_;
  CheckpointWriter& writer_;
  RunState& state_;
  CalibrationStates states_;
  std::vector<SiteReport> reports_;
  int resumed_ = 0;
  double write_seconds_ = 0, verify_seconds_ = 0;
  std::map<std::string, std::string> shard_hashes_;
  std::atomic<bool> stopped_{false};
  std::future<std::string> rest_;  // the hash of the shard of the rest
  Worker worker_;  // writes a shard while the next block is worked on; last: it uses all above
};

}  // namespace ptq::detail
