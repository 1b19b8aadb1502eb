#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "ptq/pipeline/validate.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

std::string number(double value) {
  if (!std::isfinite(value)) return "-";
  std::ostringstream text;
  text.precision(3);
  text << value;
  return text.str();
}

std::string decimals(double value, int count) {
  return std::isfinite(value) ? fixed(value, count) : "-";
}

/// NaN and infinity have no JSON.
Json json_of(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

/// The field of an Agreement by the name it has in files.
const std::vector<std::pair<std::string, double Agreement::*>>& measures() {
  static const std::vector<std::pair<std::string, double Agreement::*>> all = {
      {"spearman", &Agreement::spearman},
      {"kendall", &Agreement::kendall},
      {"log_pearson", &Agreement::log_pearson},
      {"log_slope", &Agreement::log_slope},
      {"log_intercept", &Agreement::log_intercept},
      {"log_bias", &Agreement::log_bias},
      {"top_1_percent_overlap", &Agreement::top1_overlap},
      {"top_5_percent_overlap", &Agreement::top5_overlap}};
  return all;
}

/// Scores that are no prediction have another unit than the effect: a line fitted to the two says
/// nothing but its correlation.
bool needs_a_prediction(const std::string& measure) {
  return measure == "log_slope" || measure == "log_intercept" || measure == "log_bias";
}

Json json_of(const Agreement& value, const AgreementInterval& interval, bool predicts) {
  Json json;
  for (const auto& [name, field] : measures()) {
    if (needs_a_prediction(name) && !predicts) continue;
    json[name] = {{"value", json_of(value.*field)},
                  {"low", json_of(interval.low.*field)},
                  {"high", json_of(interval.high.*field)}};
  }
  return json;
}

Json json_of(const ValidationRow& row) {
  const bool predicts = row.basis == "predicted";
  Json json = {{"estimator", row.estimator},
               {"basis", row.basis},
               {"ranks_only", !predicts},
               {"pooled", json_of(row.pooled, row.interval, predicts)},
               {"nll_change_spearman", json_of(row.nll_spearman)}};
  if (row.within) json["within_linear"] = json_of(*row.within, *row.within_interval, predicts);
  return json;
}

Json json_of(const ValidationSet& set) {
  Json rows = Json::array();
  for (const ValidationRow& row : set.rows)
    rows.push_back(json_of(row));
  Json json = {{"units", set.kind},
               {"scheme", set.scheme},
               {"scale", set.scale},
               {"count", set.units},
               {"near_noise", set.below_noise},
               {"median_kl", json_of(set.median_kl)},
               {"max_kl", json_of(set.max_kl)},
               {"estimators", rows}};
  if (!set.scale_ratios.empty()) json["kl_over_first_scale_5_50_95"] = set.scale_ratios;
  return json;
}

Json json_of(const MeasuredEffect& effect) {
  return {{"kl", effect.kl}, {"nll_change", effect.nll}};
}

Json json_of(const ValidationSubset& subset) {
  return {{"scheme", subset.scheme},
          {"linears", subset.linears},
          {"joint", json_of(subset.joint)},
          {"sum_of_single", json_of(subset.sum_of_single)},
          {"predicted", subset.predicted}};
}

std::string with_interval(double value, double low, double high) {
  return decimals(value, 3) + " [" + decimals(low, 2) + ", " + decimals(high, 2) + "]";
}

std::string table_of(const ValidationSet& set) {
  std::vector<const ValidationRow*> ranked;
  for (const ValidationRow& row : set.rows)
    ranked.push_back(&row);
  const auto key = [](const ValidationRow* row) {
    return std::isfinite(row->pooled.spearman) ? row->pooled.spearman : -2;
  };
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](const auto* a, const auto* b) { return key(a) > key(b); });
  Table table({"estimator", "by", "Spearman", "within", "Kendall", "log r", "slope", "low by",
               "top 1 %", "top 5 %", "NLL"});
  for (const ValidationRow* row : ranked) {
    const Agreement& all = row->pooled;
    const bool predicts = row->basis == "predicted";
    table.add({row->estimator, row->basis,
               with_interval(all.spearman, row->interval.low.spearman, row->interval.high.spearman),
               row->within
                   ? with_interval(row->within->spearman, row->within_interval->low.spearman,
                                   row->within_interval->high.spearman)
                   : "-",
               decimals(all.kendall, 3), decimals(all.log_pearson, 3),
               predicts ? decimals(all.log_slope, 2) : "-",
               predicts ? "x " + number(std::pow(10, all.log_bias)) : "-",
               decimals(100 * all.top1_overlap, 0) + " %",
               decimals(100 * all.top5_overlap, 0) + " %", decimals(row->nll_spearman, 3)});
  }
  return table.text();
}

std::string text_of(const ValidationSet& set) {
  std::ostringstream text;
  text << set.kind << ", " << set.scheme << ", perturbation x " << number(set.scale) << ": "
       << set.units << " units, KL " << number(set.median_kl) << " in the middle, at most "
       << number(set.max_kl) << " nats";
  if (set.below_noise > 0) text << "; " << set.below_noise << " near the noise";
  if (!set.scale_ratios.empty())
    text << "; to the first scale 5, 50, 95 %: " << number(set.scale_ratios[0]) << ", "
         << number(set.scale_ratios[1]) << ", " << number(set.scale_ratios[2]);
  text << "\n";
  if (set.rows.empty())
    text << "too few units to compare\n";
  else
    text << table_of(set);
  return text.str() + "\n";
}

/// Mean ratios of the joint effect to what was expected of it, by the number of linears.
class AdditivityTable {
 public:
  void add(const ValidationSubset& subset) {
    sizes_.insert(subset.linears.size());
    add("measured singly", subset, subset.sum_of_single.kl);
    for (const auto& [label, sum] : subset.predicted)
      add(label, subset, sum);
  }

  std::string text() const {
    std::vector<std::string> header{"joint KL / sum over"};
    for (const size_t size : sizes_)
      header.push_back(std::to_string(size) + " linears");
    Table table(std::move(header));
    for (const std::string& label : labels_) {
      std::vector<std::string> row{label};
      for (const size_t size : sizes_) {
        const auto found = ratios_.find({label, size});
        row.push_back(found == ratios_.end() ? "-"
                                             : number(found->second.sum / found->second.count));
      }
      table.add(std::move(row));
    }
    return table.text();
  }

 private:
  struct Mean {
    double sum = 0;
    int count = 0;
  };

  void add(const std::string& label, const ValidationSubset& subset, double expected) {
    if (std::find(labels_.begin(), labels_.end(), label) == labels_.end()) labels_.push_back(label);
    if (!(expected > 0)) return;
    Mean& mean = ratios_[{label, subset.linears.size()}];
    mean.sum += subset.joint.kl / expected;
    ++mean.count;
  }

  std::set<size_t> sizes_;
  std::vector<std::string> labels_;
  std::map<std::pair<std::string, size_t>, Mean> ratios_;
};

std::string text_of_subsets(const std::vector<ValidationSubset>& subsets) {
  std::map<std::string, AdditivityTable> by_scheme;
  for (const ValidationSubset& subset : subsets)
    by_scheme[subset.scheme].add(subset);
  std::string text;
  for (const auto& [scheme, table] : by_scheme)
    text += "random subsets of linears together, " + scheme + "\n" + table.text() + "\n";
  return text;
}

}  // namespace

Json ValidationReport::to_json() const {
  Json all = Json::array(), additivity = Json::array();
  for (const ValidationSet& set : sets)
    all.push_back(json_of(set));
  for (const ValidationSubset& subset : subsets)
    additivity.push_back(json_of(subset));
  return {{"settings", settings},    {"heldout", heldout},   {"mean_nll", mean_nll},
          {"targets", targets},      {"noise_kl", noise_kl}, {"perturbations", measured},
          {"seconds", seconds},      {"warnings", warnings}, {"agreement", all},
          {"additivity", additivity}};
}

std::string ValidationReport::text() const {
  std::string text = "validated by " + std::to_string(measured) + " perturbations on " +
                     std::to_string(targets) + " held-out tokens in " + human_seconds(seconds) +
                     "; KL of rounding alone " + number(noise_kl) + "\n\n";
  for (const ValidationSet& set : sets)
    text += text_of(set);
  text += text_of_subsets(subsets);
  return text +
         "Spearman, Kendall, log r and overlaps are with the mean KL per token, [95 % by bootstrap "
         "over units and windows];\nslope: 1 if twice the prediction means twice the effect; low "
         "by: measured "
         "over predicted, geometric mean;\n\"score\" and \"score x error\" only rank\n";
}

}  // namespace ptq
