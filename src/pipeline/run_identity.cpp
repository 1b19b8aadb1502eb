#include "run_identity.h"

#include <ATen/ATen.h>

#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/sha256.h"

namespace ptq::detail {
namespace {

std::string digest_of(const at::Tensor& tokens) {
  if (!tokens.defined()) return "";
  const at::Tensor ids = tokens.contiguous();
  return sha256_hex({static_cast<const char*>(ids.data_ptr()), ids.nbytes()});
}

}  // namespace

RunIdentity::RunIdentity(const Session& session)
    : future_(std::async(std::launch::async, [this, &session] { return compute(session); })) {}

Json RunIdentity::compute(const Session& session) {
  const Stopwatch watch(hash_seconds_);
  Json hashes = Json::object();
  std::vector<std::filesystem::path> files = session.input.checkpoint->tensor_files();
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"})
    files.push_back(session.job.model / name);
  const auto stop_if_asked = [this] {
    if (stopped_) throw InterruptedError("interrupted");
  };
  for (const auto& file : files)
    if (std::filesystem::exists(file))
      hashes[file.filename().string()] = sha256_file(file, stop_if_asked);
  return {{"version", version()},
          {"libtorch", libtorch_version()},
          {"cpu", cpu_level_name(cpu_level())},
          {"settings", session.job.to_json()},
          {"inputs",
           {{"files", hashes},
            {"calibration_ids", digest_of(session.tokens)},
            {"statistics", session.store ? session.store->manifest().to_json() : Json()}}}};
}

}  // namespace ptq::detail
