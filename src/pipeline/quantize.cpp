#include "ptq/pipeline/quantize.h"

#include <future>
#include <map>
#include <set>

#include <ATen/ATen.h>

#include "ptq/core/version.h"
#include "ptq/io/checkpoint_writer.h"
#include "ptq/io/file.h"
#include "ptq/io/inventory.h"
#include "ptq/io/sha256.h"
#include "ptq/pipeline/model_method.h"
#include "quantize_run.h"
#include "run_identity.h"

namespace ptq {
namespace {

using detail::QuantizeRun;
using detail::RunIdentity;
using detail::RunState;
using detail::Session;
using detail::Stopwatch;
using detail::wait_for;

/// The tensors beside the linears' weights that a method may change: what makes a stage's input.
std::set<std::string> changeable(const Session& session) {
  std::set<std::string> names;
  if (!session.quantizer->prepares_blocks()) return names;
  for (const LinearSite& site : session.sites) {
    names.insert(site.producer + ".bias");
    if (session.site_of.count(site.producer) == 0) names.insert(site.producer + ".weight");
  }
  return names;
}

/// What was read against what is in `partial`, before it becomes the output.
void check_inventory(const Session& session, const CheckpointWriter& writer) {
  std::set<std::string> replaced;
  for (const auto& entry : session.plan.plan)
    replaced.insert(entry.first);
  const Checkpoint output(writer.partial_directory());
  const auto differences =
      inventory_differences(*session.input.checkpoint, output, replaced, changeable(session));
  if (!differences.empty())
    throw Error("the output's inventory does not match the input: " + differences.front() + " (" +
                std::to_string(differences.size()) + " differences)");
}

/// `known`: the digests of files in `directory`, by name, that need not be found again.
void write_manifest(const QuantizeJob& job, const QuantizeReport& report,
                    const std::filesystem::path& directory,
                    const std::map<std::string, std::string>& known) {
  Json outputs = Json::object();
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files.insert(entry.path());
  for (const auto& file : files) {
    const std::string name = file.filename().string();
    if (name == "progress.json" || name == kManifestFile || file.extension() == ".ptq-state")
      continue;
    const auto found = known.find(name);
    outputs[name] = found != known.end() ? found->second : sha256_file(file);
  }
  Json manifest = report.to_json();
  manifest["tool"] = {{"name", "ptq"}, {"version", version()}, {"libtorch", libtorch_version()}};
  manifest["command"] = job.command;
  manifest["outputs"] = outputs;
  manifest["timing"] = report.timing_json();
  write_file_atomically(directory / kManifestFile, manifest.dump(2) + "\n");
}

Json output_config(const Session& session, const SparseWeights& apart) {
  Json config = session.input.checkpoint->config();
  config["quantization_config"] = session.format->config(session.context);
  if (Json sparse = sparse_config(apart, session.sites); !sparse.is_null())
    config[kSparseConfig] = std::move(sparse);
  return config;
}

/// Stops the hashing of a run that ends early, before what waits for it is torn down.
class StopAtEnd {
 public:
  explicit StopAtEnd(RunIdentity& identity) : identity_(identity) {}
  ~StopAtEnd() { identity_.stop(); }
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;

 private:
  RunIdentity& identity_;
};

/// Takes up the record of an interrupted run as far as its shards are there.
void resume(Session& session, const CheckpointWriter& writer, RunState& state) {
  if (!state.resume()) {
    const int shards = static_cast<int>(session.input.model->config().blocks) + 1;
    bool any = false;
    for (int index = 0; index < shards; ++index)
      any = any || std::filesystem::exists(writer.shard_path(index));
    if (any)
      session.listener.note("nothing to go on with: " + writer.partial_directory().string() +
                            " has shards but no progress.json, as the run ended before its input "
                            "was hashed; starting with block 0");
    return;
  }
  int64_t whole = 0;
  while (whole < state.blocks() && writer.has_shard(static_cast<int>(whole)))
    ++whole;
  state.keep(whole);
}

QuantizeReport run(Session& session, CheckpointWriter& writer, const Stopwatch& wall) {
  RunIdentity identity(session);
  RunState state(writer.partial_directory(), identity.future());
  const auto poll = [&session] { session.listener.poll(); };
  if (session.job.resume) {
    wait_for(identity.future(), poll);
    resume(session, writer, state);
  }
  std::future<void> saved = std::async(std::launch::async, [&state] { state.save(); });
  // After what waits for the hashing, before the run, whose block in hand may still be recorded.
  const StopAtEnd stop(identity);
  QuantizeRun quantize(session, writer, state);
  quantize.blocks();
  quantize.rest();
  wait_for(saved, poll);
  saved.get();
  session.seconds.hash = identity.hash_seconds();
  QuantizeReport report;
  const SparseWeights apart = quantize.apart();
  writer.finish(output_config(session, apart), [&] {
    write_sparse_part(writer.partial_directory(), apart, session.sites,
                      session.context.model_dtype);
    for (const auto& [name, content] : session.format->extra_files(session.context))
      write_file_atomically(writer.partial_directory() / name, content.dump(2) + "\n");
    check_inventory(session, writer);
    report = quantize.report();
    report.inputs = identity.future().get().at("inputs");
    report.wall_seconds = wall.seconds();
    write_manifest(session.job, report, writer.partial_directory(), quantize.shard_hashes());
  });
  return report;
}

}  // namespace

QuantizeReport quantize_checkpoint(const QuantizeJob& job, ProgressListener& listener) {
  if (const auto method = model_method_of(job)) return method->quantize(job, listener);
  double wall_seconds = 0;
  const Stopwatch wall(wall_seconds);
  Session session(job, listener);
  for (const std::string& warning : session.warnings)
    listener.warning(warning);
  const CheckpointWriterOptions options{job.out, job.model,
                                        static_cast<int>(session.input.model->config().blocks) + 1,
                                        job.overwrite, job.resume};
  require_disk_space(
      job.out, session.output_bytes + (session.output_bytes >> 6) - recoverable_bytes(options));
  CheckpointWriter writer(options);
  try {
    return run(session, writer, wall);
  } catch (const std::exception& error) {
    if (would_come_again(error)) writer.discard();
    throw;
  }
}

}  // namespace ptq
