#include "ptq/report/quantize_report.h"

#include <algorithm>
#include <numeric>

#include "ptq/report/table.h"

namespace ptq {
namespace {

constexpr size_t kWorstShown = 10;

Json scheme_json(const QuantScheme& scheme) {
  Json json = {
      {"bits", scheme.bits}, {"group_size", scheme.group_size}, {"symmetric", scheme.symmetric}};
  if (scheme.lookup) json["lookup"] = true;
  return json;
}

}  // namespace

Json SiteReport::to_json() const {
  return {{"name", name},
          {"block", block},
          {"shape", {out_features, in_features}},
          {"scheme", scheme_json(scheme)},
          {"bits_per_weight", scheme.bits_per_weight(in_features)},
          {"relative_output_error", relative_error},
          {"details", details},
          {"fallbacks", fallbacks},
          {"sparse_values", sparse_values},
          {"sparse_bytes", sparse_bytes}};
}

SiteReport SiteReport::from_json(const Json& json) {
  try {
    SiteReport site;
    site.name = json.at("name");
    site.block = json.at("block");
    site.out_features = json.at("shape").at(0);
    site.in_features = json.at("shape").at(1);
    site.scheme.bits = json.at("scheme").at("bits");
    site.scheme.group_size = json.at("scheme").at("group_size");
    site.scheme.symmetric = json.at("scheme").at("symmetric");
    site.scheme.lookup = json.at("scheme").value("lookup", false);
    site.relative_error = json.at("relative_output_error");
    site.details = json.at("details");
    site.sparse_values = json.value("sparse_values", int64_t{0});
    site.sparse_bytes = json.value("sparse_bytes", int64_t{0});
    site.fallbacks = json.at("fallbacks").get<std::vector<std::string>>();
    return site;
  } catch (const Json::exception& error) {
    throw FormatError(std::string("not a linear's report: ") + error.what());
  }
}

Json PhaseSeconds::to_json() const {
  return {
      {"hash", hash},         {"data", data},       {"load", load},   {"statistics", statistics},
      {"quantize", quantize}, {"forward", forward}, {"write", write}, {"verify", verify}};
}

int QuantizeReport::fallbacks() const {
  return std::accumulate(sites.begin(), sites.end(), 0, [](int sum, const SiteReport& site) {
    return sum + static_cast<int>(site.fallbacks.size());
  });
}

double QuantizeReport::bits_per_weight() const {
  double bits = 0;
  double weights = 0;
  for (const SiteReport& site : sites) {
    const auto count = static_cast<double>(site.out_features * site.in_features);
    bits += count * site.scheme.bits_per_weight(site.in_features);
    weights += count;
  }
  return weights > 0 ? bits / weights : 0;
}

int64_t QuantizeReport::sparse_bytes() const {
  int64_t bytes = 0;
  for (const SiteReport& site : sites)
    bytes += site.sparse_bytes;
  return bytes;
}

double QuantizeReport::sparse_bits_per_weight() const {
  double weights = 0;
  for (const SiteReport& site : sites)
    weights += static_cast<double>(site.out_features * site.in_features);
  return weights > 0 ? 8.0 * static_cast<double>(sparse_bytes()) / weights : 0;
}

double QuantizeReport::mean_relative_error() const {
  double sum = 0;
  for (const SiteReport& site : sites)
    sum += site.relative_error;
  return sites.empty() ? 0 : sum / static_cast<double>(sites.size());
}

Json QuantizeReport::to_json() const {
  Json linears = Json::array();
  for (const SiteReport& site : sites)
    linears.push_back(site.to_json());
  Json support = Json::array();
  for (const EngineSupport& engine : engines)
    support.push_back({{"engine", engine.engine}, {"loads", engine.loads}, {"note", engine.note}});
  return {{"settings", settings},
          {"inputs", inputs},
          {"calibration", calibration},
          {"linears", linears},
          {"skipped", skipped},
          {"warnings", warnings},
          {"engines", support},
          {"fallbacks", fallbacks()},
          {"bits_per_weight", bits_per_weight()},
          {"sparse_bits_per_weight", sparse_bits_per_weight()},
          {"total_bits_per_weight", bits_per_weight() + sparse_bits_per_weight()},
          {"mean_relative_output_error", mean_relative_error()},
          {"method", method},
          {"bytes", {{"input", input_bytes}, {"output", output_bytes}}}};
}

QuantizeReport QuantizeReport::from_json(const Json& json) {
  try {
    QuantizeReport report;
    report.settings = json.at("settings");
    report.inputs = json.at("inputs");
    report.calibration = json.at("calibration");
    for (const Json& site : json.at("linears"))
      report.sites.push_back(SiteReport::from_json(site));
    report.skipped = json.at("skipped").get<std::vector<std::string>>();
    report.warnings = json.at("warnings").get<std::vector<std::string>>();
    for (const Json& engine : json.at("engines"))
      report.engines.push_back({engine.at("engine"), engine.at("loads"), engine.at("note")});
    report.method = json.at("method");
    report.input_bytes = json.at("bytes").at("input");
    report.output_bytes = json.at("bytes").at("output");
    return report;
  } catch (const Json::exception& error) {
    throw FormatError(std::string("not the report of a quantize run: ") + error.what());
  }
}

Json QuantizeReport::timing_json() const {
  Json linears = Json::object();
  for (const SiteReport& site : sites)
    linears[site.name] = site.seconds;
  return {
      {"wall_seconds", wall_seconds},
      {"phase_seconds", seconds.to_json()},
      {"quantize_call_seconds", seconds.total() - seconds.hash - seconds.write - seconds.verify},
      {"peak_rss_bytes", peak_rss_bytes},
      {"resumed_blocks", resumed_blocks},
      {"method_seconds", method_seconds},
      {"linear_seconds", linears}};
}

std::string QuantizeReport::text() const {
  std::vector<const SiteReport*> worst;
  for (const SiteReport& site : sites)
    worst.push_back(&site);
  const size_t shown = std::min(kWorstShown, worst.size());
  std::partial_sort(worst.begin(), worst.begin() + static_cast<std::ptrdiff_t>(shown), worst.end(),
                    [](const SiteReport* a, const SiteReport* b) {
                      return a->relative_error > b->relative_error;
                    });
  Table table({"worst linears by relative output error", "scheme", "error", "seconds"});
  for (size_t i = 0; i < shown; ++i)
    table.add({worst[i]->name, worst[i]->scheme.name(), fixed(worst[i]->relative_error, 5),
               fixed(worst[i]->seconds, 2)});
  std::string text = table.text();
  text += "\n" + std::to_string(sites.size()) + " linears quantized, " +
          std::to_string(skipped.size()) + " left as they were, " + std::to_string(fallbacks()) +
          " fallbacks\n";
  text += "bits per weight " + fixed(bits_per_weight(), 3) +
          " (quantized linears, scales, zeros and tables included), mean error " +
          fixed(mean_relative_error(), 5) + "\n";
  if (sparse_bits_per_weight() > 0)
    text += "single weights beside them " + fixed(sparse_bits_per_weight(), 3) + ", in all " +
            fixed(bits_per_weight() + sparse_bits_per_weight(), 3) +
            " bits per weight; the dense part alone is another model, with another perplexity\n";
  text += "tensors " + human_bytes(input_bytes) + " -> " + human_bytes(output_bytes) + "\n";
  text += "time " + human_seconds(wall_seconds);
  // Of several runs those of one would say nothing.
  if (method.is_null())
    text += " (statistics " + human_seconds(seconds.statistics) + ", quantize " +
            human_seconds(seconds.quantize) + ", forward " + human_seconds(seconds.forward) + ")";
  text += ", peak memory " + human_bytes(peak_rss_bytes) + "\n";
  for (const EngineSupport& engine : engines)
    text += engine.engine + ": " + (engine.loads ? "loads it" : "does not load it") +
            (engine.note.empty() ? "" : " (" + engine.note + ")") + "\n";
  return text;
}

}  // namespace ptq
