#include <algorithm>
#include <cmath>
#include <map>

#include "ptq/core/version.h"
#include "ptq/pipeline/compare.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

Json json_of(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

std::string figure(const std::optional<double>& value, int decimals) {
  return value ? fixed(*value, decimals) : "-";
}

}  // namespace

std::optional<double> CompareRow::mean_output_error() const {
  if (output_errors.empty()) return std::nullopt;
  double sum = 0;
  for (const auto& entry : output_errors)
    sum += entry.second;
  return sum / static_cast<double>(output_errors.size());
}

Json CompareRow::to_json() const {
  Json json = {{"label", label},
               {"method", method},
               {"options", options},
               {"scheme",
                {{"name", scheme.name()},
                 {"bits", scheme.bits},
                 {"group_size", scheme.group_size},
                 {"symmetric", scheme.symmetric}}}};
  if (scheme.lookup) json["scheme"]["lookup"] = true;
  if (!failure.empty()) {
    json["failure"] = failure;
    json["exit_code"] = exit_code;
    return json;
  }
  Json linears = Json::object();
  for (const auto& [name, error] : output_errors)
    linears[name] = error;
  json.update({{"bits_per_weight", bits_per_weight},
               {"sparse_bits_per_weight", sparse_bits_per_weight},
               {"total_bits_per_weight", total_bits_per_weight()},
               {"mean_relative_output_error", json_of(mean_output_error())},
               {"relative_output_errors", linears},
               {"fallbacks", fallbacks},
               {"output_bytes", output_bytes},
               {"quantize_seconds", json_of(quantize_seconds)},
               {"method_seconds", method_seconds},
               {"run_seconds", run_seconds},
               {"evaluate_seconds", evaluation.seconds},
               {"evaluation", evaluation.model.to_json()},
               {"kl", evaluation.kl.value().to_json()}});
  return json;
}

size_t CompareReport::failures() const {
  return static_cast<size_t>(std::count_if(
      rows.begin(), rows.end(), [](const CompareRow& row) { return !row.failure.empty(); }));
}

Json CompareReport::to_json() const {
  Json list = Json::array();
  for (const CompareRow& row : rows)
    list.push_back(row.to_json());
  return {{"rows", list},
          {"reference", reference ? reference->to_json() : Json()},
          {"calibration", calibration},
          {"windows_sha256", windows_sha256},
          {"tool", {{"name", "ptq"}, {"version", version()}, {"libtorch", libtorch_version()}}},
          {"settings", settings},
          {"failures", failures()},
          {"seconds", seconds}};
}

std::string CompareReport::text() const {
  Table table({"method", "scheme", "bits/weight", "output error", "KL, nats", "+/-", "perplexity",
               "same top %", "fallbacks", "quantize s", "run s"});
  std::string reasons;
  for (const CompareRow& row : rows) {
    if (!row.failure.empty()) {
      table.add({row.label, row.scheme.name(), "-", "-", "-", "-", "-", "-", "-", "-", "-"});
      reasons += row.label + " " + row.scheme.name() + " has no figures: " + row.failure + "\n";
      continue;
    }
    const KlResult& kl = row.evaluation.kl.value();
    table.add({row.label, row.scheme.name(), fixed(row.total_bits_per_weight(), 3),
               figure(row.mean_output_error(), 5), fixed(kl.mean_nats, 5),
               std::isfinite(kl.standard_error) ? fixed(kl.standard_error, 5) : "-",
               fixed(row.evaluation.model.perplexity, 4), fixed(100 * kl.top1_agreement, 2),
               std::to_string(row.fallbacks), figure(row.quantize_seconds, 1),
               fixed(row.run_seconds, 1)});
  }
  std::string text = table.text();
  if (reference)
    text += "full precision: perplexity " + fixed(reference->perplexity, 4) + " +/- " +
            fixed(reference->standard_error, 4) + " (" + reference->protocol + " protocol, " +
            std::to_string(reference->windows) + " windows of " +
            std::to_string(reference->seqlen) + ", " + std::to_string(reference->scored_tokens) +
            " tokens scored)\n";
  return text + reasons;
}

std::string CompareReport::linears_text() const {
  std::vector<std::string> header{"linear"};
  std::map<std::string, std::vector<std::string>> errors;
  std::vector<std::string> order;
  for (const CompareRow& row : rows) {
    if (row.output_errors.empty()) continue;
    for (const auto& [name, error] : row.output_errors) {
      auto& cells = errors[name];
      if (cells.empty()) order.push_back(name);
      // A linear that an odd shape left out of an earlier row.
      cells.resize(header.size() - 1, "-");
      cells.push_back(fixed(error, 5));
    }
    header.push_back(row.label + " " + row.scheme.name());
  }
  Table table(header);
  for (const std::string& name : order) {
    std::vector<std::string> cells{name};
    errors[name].resize(header.size() - 1, "-");
    cells.insert(cells.end(), errors[name].begin(), errors[name].end());
    table.add(cells);
  }
  return table.text();
}

}  // namespace ptq
