#include "run_identity.h"

#include <ATen/ATen.h>

#include "input_identity.h"
#include "ptq/core/cpu.h"
#include "ptq/core/version.h"

namespace ptq::detail {
RunIdentity::RunIdentity(const Session& session)
    : future_(std::async(std::launch::async, [this, &session] { return compute(session); })) {}

Json RunIdentity::compute(const Session& session) {
  const Stopwatch watch(hash_seconds_);
  const auto stop_if_asked = [this] {
    if (stopped_) throw InterruptedError("interrupted");
  };
  // Known already where a store of statistics had to be compared.
  const Json inputs =
      !session.input_digests.is_null()
          ? session.input_digests
          : input_identity(*session.input.checkpoint, session.job.model, stop_if_asked);
  Json hashes = inputs.at("model");
  hashes.update(inputs.at("tokenizer"));
  return {{"version", version()},
          {"libtorch", libtorch_version()},
          {"cpu", cpu_level_name(cpu_level())},
          {"settings", session.job.to_json()},
          {"inputs",
           {{"files", hashes},
            {"calibration_ids", token_digest(session.tokens)},
            {"statistics", session.store ? session.store->manifest().to_json() : Json()}}}};
}

}  // namespace ptq::detail
