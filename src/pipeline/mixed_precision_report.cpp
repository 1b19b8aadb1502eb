#include <array>
#include <cstdio>
#include <map>

#include "ptq/core/version.h"
#include "ptq/pipeline/mixed_precision.h"
#include "ptq/pipeline/scheme_plan.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

Json total_json(const MixedPrecisionPlan::Total& total, bool predicted) {
  return {{"bits_per_weight", total.bits_per_weight},
          {"linear_bytes", total.linear_bytes},
          {"output_bytes", total.output_bytes},
          {"cost", total.cost},
          {"predicted_nll_change", predicted ? Json(total.cost) : Json()}};
}

Json row_json(const MixedPrecisionPlan::Row& row, bool predicted) {
  Json costs = Json::object();
  for (const MixedPrecisionPlan::Cost& cost : row.costs)
    costs[cost.scheme.name()] = {{"bytes", cost.bytes}, {"cost", cost.cost}};
  return {{"name", row.site.name},
          {"group", row.group},
          {"shape", {row.site.out_features, row.site.in_features}},
          {"scheme", row.chosen.scheme.name()},
          {"bits_per_weight", row.chosen.scheme.bits_per_weight(row.site.in_features)},
          {"bytes", row.chosen.bytes},
          {"cost", row.chosen.cost},
          {"predicted_nll_change", predicted ? Json(row.chosen.cost) : Json()},
          {"candidates", costs}};
}

std::string figure(double cost) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", cost);
  return text.data();
}

/// What the linears of one kind get together.
struct Kind {
  int64_t linears = 0, bytes = 0;
  double bits = 0, weights = 0, cost = 0;
  std::map<std::string, int64_t> schemes;

  void add(const MixedPrecisionPlan::Row& row) {
    const auto count = static_cast<double>(row.site.out_features * row.site.in_features);
    ++linears;
    bytes += row.chosen.bytes;
    weights += count;
    bits += count * row.chosen.scheme.bits_per_weight(row.site.in_features);
    cost += row.chosen.cost;
    ++schemes[row.chosen.scheme.name()];
  }
  std::string scheme_counts() const {
    std::string text;
    for (const auto& [name, count] : schemes)
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name;
    return text;
  }
};

}  // namespace

Json MixedPrecisionPlan::to_json() const {
  Json linears = Json::array(), exclusions = Json::array(), alternatives = Json::array(),
       support = Json::array();
  for (const Row& row : rows)
    linears.push_back(row_json(row, predicted));
  for (const Exclusion& one : excluded)
    exclusions.push_back(
        {{"scheme", one.scheme.name()}, {"reason", one.reason}, {"linears", one.linears}});
  for (const Uniform& one : uniform) {
    alternatives.push_back(total_json(one.total, predicted));
    alternatives.back()["scheme"] = one.scheme.name();
  }
  for (const EngineSupport& engine : engines)
    support.push_back({{"engine", engine.engine}, {"loads", engine.loads}, {"note", engine.note}});
  return {{"format", kSchemePlanFormat},
          {"tool", {{"name", "ptq"}, {"version", version()}}},
          {"command", command},
          {"checkpoint_format", settings.at("format")},
          {"settings", settings},
          {"inputs", inputs},
          {"calibration", calibration},
          {"cost_unit", predicted ? "nats per target token" : "none: score times squared error"},
          {"negative_predictions", negative},
          {"total", total_json(total, predicted)},
          {"allocation", {{"price", price}, {"bound", bound}, {"exact", exact}}},
          {"uniform", alternatives},
          {"excluded", exclusions},
          {"engines", support},
          {"linears", linears},
          {"left", left},
          {"warnings", warnings}};
}

std::string MixedPrecisionPlan::text() const {
  const std::string unit = predicted ? "predicted, nats/token" : "score x error";
  std::vector<std::string> order;
  std::map<std::string, Kind> kinds;
  for (const Row& row : rows) {
    if (kinds.count(row.kind) == 0) order.push_back(row.kind);
    kinds[row.kind].add(row);
  }
  Table table({"linears", "bits/weight", "bytes", unit, "schemes"});
  for (const std::string& name : order) {
    const Kind& kind = kinds.at(name);
    table.add({name, fixed(kind.bits / kind.weights, 3), std::to_string(kind.bytes),
               figure(kind.cost), kind.scheme_counts()});
  }
  Table totals({"", "bits/weight", "tensors", unit});
  const auto add = [&](const std::string& name, const Total& one) {
    totals.add(
        {name, fixed(one.bits_per_weight, 3), human_bytes(one.output_bytes), figure(one.cost)});
  };
  add("this plan", total);
  for (const Uniform& one : uniform)
    add("all " + one.scheme.name(), one.total);
  std::string text = table.text() + "\n" + totals.text();
  for (const Exclusion& one : excluded)
    text += one.scheme.name() + " is no candidate for " + std::to_string(one.linears.size()) +
            " linears: " + one.reason + "\n";
  if (!left.empty()) text += std::to_string(left.size()) + " linears left as they are\n";
  for (const EngineSupport& engine : engines)
    text += engine.engine + ": " + (engine.loads ? "loads it" : "does not load it") +
            (engine.note.empty() ? "" : " (" + engine.note + ")") + "\n";
  return text;
}

}  // namespace ptq
