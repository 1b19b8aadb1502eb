#include "ptq/pipeline/compare.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <stdlib.h>

#include "calibration_windows.h"
#include "compare_rows.h"
#include "ptq/backends/selection.h"
#include "ptq/formats/open.h"
#include "ptq/model/device.h"
#include "ptq/pipeline/quantize.h"
#include "ptq/report/table.h"
#include "session.h"

namespace ptq {
namespace {

/// Where the checkpoints lie: a directory of the user's, or a temporary one that goes with this.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& keep) : path_(keep), temporary_(keep.empty()) {
    if (temporary_) {
      std::error_code error;  // mkdtemp says it, too, and says where
      const std::filesystem::path place = std::filesystem::temp_directory_path(error);
      std::string name = (place / "ptq-compare-XXXXXX").string();
      if (error || ::mkdtemp(name.data()) == nullptr)
        throw ResourceError("cannot make the directory " + name + ": " +
                                (error ? error.message() : std::generic_category().message(errno)),
                            "set TMPDIR to a place with room, or give --keep DIR");
      path_ = name;
      return;
    }
    std::error_code none;
    if (std::filesystem::exists(keep) &&
        (!std::filesystem::is_directory(keep) || !std::filesystem::is_empty(keep, none)))
      throw ConfigError("--keep " + keep.string() + " exists and is no empty directory",
                        "name a new directory");
    std::filesystem::create_directories(keep);
  }
  ~Scratch() {
    if (temporary_) remove(path_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path of(const CompareRow& row) const {
    return path_ / (row.label + "-" + row.scheme.name());
  }
  /// Removes what a row left, unless it is to be kept.
  void done_with(const CompareRow& row) const {
    if (temporary_) remove(of(row));
  }

 private:
  static void remove(const std::filesystem::path& path) {
    std::error_code ignored;  // what is left is in a temporary directory
    std::filesystem::remove_all(path, ignored);
  }

  std::filesystem::path path_;
  bool temporary_;
};

/// Fills `row`.
void run_row(const CompareJob& job, const OpenedModel& reference, const std::filesystem::path& out,
             CompareRow& row, ProgressListener& listener) {
  const QuantizeJob quantize = detail::quantize_job(job, row, out);
  const QuantizeReport report = quantize_checkpoint(quantize, listener);
  row.bits_per_weight = report.bits_per_weight();
  row.sparse_bits_per_weight = report.sparse_bits_per_weight();
  if (quantize.measure_outputs)
    for (const SiteReport& site : report.sites)
      row.output_errors.emplace_back(site.name, site.relative_error);
  row.fallbacks = report.fallbacks();
  row.output_bytes = report.output_bytes;
  // Of several runs the report has no sum.
  if (report.method.is_null()) row.quantize_seconds = report.seconds.quantize;
  row.method_seconds = report.method_seconds;
  row.run_seconds = report.wall_seconds;
  const at::Device device = open_device(job.device);
  const BackendSelection backends("auto");
  const OpenedModel quantized = open_directory(out, device.is_cpu() ? &backends : nullptr, device);
  listener.begin("evaluating", 1, 0);
  EvalSettings settings;
  settings.progress = [&](const EvalProgress&) { listener.poll(); };
  row.evaluation = evaluate(*quantized.model, reference.model.get(), job.windows, settings);
}

bool is_interruption(const std::exception& error) {
  return exit_code_of(error) == InterruptedError("").exit_code();
}

}  // namespace

CompareReport compare_methods(const CompareJob& job, ProgressListener& listener) {
  CompareReport report;
  const detail::Stopwatch watch(report.seconds);
  report.rows = detail::make_rows(job);
  formats().make(job.format);
  PlanRequest rules;
  rules.skip = job.skip, rules.overrides = job.overrides, rules.odd_shape = job.odd_shape;
  check_rules(rules);
  if (job.windows.windows.empty()) throw ConfigError("there is no window to evaluate");
  const OpenedModel reference = open_directory(job.model, nullptr, open_device(job.device));
  if (!reference.format.empty())
    throw UnsupportedError(job.model.string() + " is already quantized (" + reference.format + ")",
                           "start from the full-precision checkpoint");
  // Read by every run again; here so that a fault ends the comparison and not each of its rows.
  report.calibration =
      detail::read_calibration(job.calibration, job.model, reference.model->config()).report;
  report.windows_sha256 = job.windows.sha256();
  report.settings = {
      {"model", job.model.string()}, {"format", job.format},          {"skip", job.skip},
      {"override", job.overrides},   {"on_odd_shape", job.odd_shape}, {"stats", job.stats.string()},
      {"threads", job.threads},      {"device", job.device},          {"command", job.command}};
  const Scratch scratch(job.keep);
  size_t number = 0;
  for (CompareRow& row : report.rows) {
    listener.note("comparing " + row.label + " " + row.scheme.name() + " (" +
                  std::to_string(++number) + " of " + std::to_string(report.rows.size()) + ")");
    listener.poll();
    try {
      run_row(job, reference, scratch.of(row), row, listener);
      report.reference = row.evaluation.reference;
      listener.note(row.label + " " + row.scheme.name() + ": perplexity " +
                    fixed(row.evaluation.model.perplexity, 4) + ", KL " +
                    fixed(row.evaluation.kl->mean_nats, 5) + " nats");
    } catch (const std::exception& error) {
      if (is_interruption(error)) throw;
      row.failure = describe(error);
      row.exit_code = exit_code_of(error);
      listener.warning(row.label + " " + row.scheme.name() + " has no figures: " + row.failure);
    }
    scratch.done_with(row);
  }
  return report;
}

}  // namespace ptq
