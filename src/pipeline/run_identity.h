#pragma once
#include <atomic>
#include <future>

#include "session.h"

namespace ptq::detail {

/// Everything that decides the output's bytes, by topic ("settings", "inputs", …).  The files that
/// the run reads are hashed on a thread of their own while it works.
class RunIdentity {
 public:
  explicit RunIdentity(const Session& session);
  /// Stops the hashing.
  ~RunIdentity() { stop(); }
  RunIdentity(const RunIdentity&) = delete;
  RunIdentity& operator=(const RunIdentity&) = delete;

  /// Throws ConfigError from `get` if a file cannot be read, InterruptedError after `stop`.
  const std::shared_future<Json>& future() const& { return future_; }
  /// Makes the hashing end early, so that nobody waits for it.
  void stop() { stopped_ = true; }
  /// How long the hashing took; to be called when the future is ready.
  double hash_seconds() const { return hash_seconds_; }

 private:
  Json compute(const Session& session);

  std::atomic<bool> stopped_{false};
  double hash_seconds_ = 0;
  std::shared_future<Json> future_;  // last: its thread uses all above
};

}  // namespace ptq::detail
