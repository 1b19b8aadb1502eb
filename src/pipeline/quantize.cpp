#include "ptq/pipeline/quantize.h"

#include <set>

#include <ATen/ATen.h>

#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/checkpoint_writer.h"
#include "ptq/io/file.h"
#include "ptq/io/inventory.h"
#include "ptq/io/sha256.h"
#include "quantize_run.h"

namespace ptq {
namespace {

using detail::QuantizeRun;
using detail::RunState;
using detail::Session;
using detail::Stopwatch;

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
    if (file.filename() != "progress.json" && file.filename() != "ptq-manifest.json")
      outputs[file.filename().string()] = sha256_file(file);
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
  RunState state(writer.partial_directory(), {{"version", version()},
                                              {"cpu", cpu_level_name(cpu_level())},
                                              {"settings", session.job.to_json()},
                                              {"inputs", inputs}});
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
  const CheckpointWriterOptions options{job.out, job.model,
                                        static_cast<int>(session.input.model->config().blocks) + 1,
                                        job.overwrite, job.resume};
  require_disk_space(
      job.out, session.output_bytes + (session.output_bytes >> 6) - recoverable_bytes(options));
  CheckpointWriter writer(options);
  try {
    return run(session, writer, wall);
  } catch (const std::exception& error) {
    // A malformed, unsupported or numerical fault would be met again; all else (an interruption, a
    // full disk, a lost mount) can be resumed.
    const int code = exit_code_of(error);
    if (code >= FormatError("").exit_code() && code <= NumericalError("").exit_code())
      writer.discard();
    throw;
  }
}

}  // namespace ptq
