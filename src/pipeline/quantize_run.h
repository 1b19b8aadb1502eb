#pragma once
#include <future>

#include "ptq/io/checkpoint_writer.h"
#include "run_state.h"
#include "session.h"

namespace ptq::detail {

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

}  // namespace ptq::detail
