#include "validation.h"

#include <set>

#include <ATen/ATen.h>

#include "input_identity.h"
#include "ptq/core/error.h"
#include "ptq/io/file.h"
#include "session.h"

namespace ptq {
namespace {

template <class T>
void require_distinct(const std::vector<T>& values, const std::string& option) {
  if (values.empty()) throw ConfigError(option + " names nothing");
  if (std::set<T>(values.begin(), values.end()).size() != values.size())
    throw ConfigError(option + " names something twice");
}

}  // namespace

void ValidationRequest::check() const {
  std::set<std::string> kinds{"channel", "group", "linear", "block"};
  for (const std::string& unit : units)
    if (kinds.count(unit) == 0)
      throw ConfigError("--validate-units " + unit + " is unknown",
                        "known: channel, group, linear, block");
  require_distinct(units, "--validate-units");
  require_distinct(scales, "--validate-scale");
  std::vector<std::string> names;
  for (const QuantScheme& scheme : schemes) {
    scheme.check();
    names.push_back(scheme.name());
  }
  require_distinct(names, "--validate-bits");
  for (const double scale : scales)
    if (!(scale > 0 && scale <= 1000))
      throw ConfigError("--validate-scale " + Json(scale).dump() + " must be in (0, 1000]");
  if (sample < 1 || subsets < 0)
    throw ConfigError("--validate-sample must be at least 1, --validate-subsets at least 0");
}

Json ValidationRequest::to_json() const {
  Json names = Json::array();
  for (const QuantScheme& scheme : schemes)
    names.push_back(scheme.name());
  return {{"schemes", names},         {"scales", scales},          {"units", units},
          {"sample", sample},         {"subsets", subsets},        {"seed", seed},
          {"seqlen", heldout.seqlen}, {"windows", heldout.samples}};
}

namespace detail {

Validation::Validation(const ValidationRequest& request, const EstimatorSet& estimators,
                       const std::vector<std::filesystem::path>& calibration,
                       const std::filesystem::path& model, const ModelConfig& config)
    : request_(request), predictions_(request, estimators) {
  request.check();
  heldout_ = load_heldout(request.heldout, calibration, model, config);
}

Json Validation::identity() const {
  return {{"settings", request_.to_json()}, {"ids", token_digest(heldout_.tokens)}};
}

void Validation::observe(const SiteView& site, const std::vector<at::Tensor>& scores) {
  predictions_.add(site, scores);
}

ValidationReport Validation::run(const CausalLM& model, const std::filesystem::path& directory,
                                 ProgressListener& listener) {
  ValidationReport report;
  {
    const Stopwatch watch(report.seconds);
    const std::filesystem::path work = directory / kValidationWork;
    std::filesystem::create_directories(work);
    EffectMeter::Plan plan{heldout_.tokens,      work,
                           request_.state_bytes, request_.logit_bytes,
                           request_.block_bytes, [&listener] { listener.poll(); }};
    EffectMeter meter(model, std::move(plan));
    if (meter.reloads_blocks())
      listener.note("blocks are loaded again for every perturbation: not all fit in memory");
    MeasurementRecord record(work / "measured.jsonl");
    const auto& linears = predictions_.linears();
    const std::vector<Unit> units = units_of(request_, linears);
    const std::vector<Unit> subsets = subsets_of(request_, linears);
    const MeasuringTask task{request_, linears, units, subsets};
    const Measurements measured = measure_units(task, meter, record, listener);
    const std::vector<std::string> labels = predictions_.labels();
    write_file_atomically(directory / "validation.csv",
                          pairs_csv(request_, units, measured, labels));
    listener.note("comparing with what the estimators say");
    report.sets = compare_units(request_, units, measured, labels, listener);
    report.subsets = compare_subsets(task, measured, labels);
    report.mean_nll = meter.mean_nll();
    report.targets = meter.targets();
    report.noise_kl = measured.noise_kl;
    report.measured = measured.runs;
  }
  report.settings = request_.to_json();
  report.heldout = heldout_.report;
  report.warnings = heldout_.warnings;
  write_file_atomically(directory / "validation.json", report.to_json().dump(2) + "\n");
  return report;
}

}  // namespace detail
}  // namespace ptq
