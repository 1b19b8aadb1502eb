#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <limits>

#include "validation.h"

namespace ptq::detail {
namespace {

/// Fewer units than this agree or not by chance alone.
constexpr size_t kFewest = 3;
/// Resamples of a bootstrap: 95 % intervals to about a twentieth of their width.
constexpr int64_t kResamples = 500;

std::string csv_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), ",%.9g", value);
  return text.data();
}

double quantile_of(std::vector<double> values, double share) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(share * last + 0.5)];
}

/// The units of one kind with what was measured of them, κ² taken out.
struct Series {
  std::vector<const Unit*> units;
  std::vector<double> kl, nll;
  std::vector<int64_t> linears;  ///< each unit's linear
  MeasuredParts window_kl;       ///< empty where only means are known
};

Series series_of(const std::string& kind, const std::vector<Unit>& units,
                 const std::vector<MeasuredEffect>& effects, double scale) {
  Series series;
  for (size_t u = 0; u < units.size(); ++u) {
    if (units[u].kind != kind) continue;
    series.units.push_back(&units[u]);
    series.kl.push_back(effects[u].kl / (scale * scale));
    series.nll.push_back(effects[u].nll / (scale * scale));
    series.linears.push_back(static_cast<int64_t>(units[u].parts.front().linear));
    if (effects[u].window_kl.empty()) continue;
    series.window_kl.push_back(effects[u].window_kl);
    for (double& kl : series.window_kl.back())
      kl /= scale * scale;
  }
  return series;
}

/// One reading of one estimator; empty unless it has a value for every unit.
std::vector<double> reading(const Series& series, size_t scheme, size_t estimator,
                            const std::string& basis) {
  std::vector<double> values;
  for (const Unit* unit : series.units) {
    const Prediction& said = unit->predictions[scheme][estimator];
    if (basis == "predicted") {
      if (!said.predicted) return {};
      values.push_back(*said.predicted);
    } else {
      values.push_back(basis == "score" ? said.score : said.score_error);
    }
  }
  return values;
}

ValidationRow row_of(const std::vector<double>& values, const Series& series, bool grouped,
                     uint64_t seed) {
  ValidationRow row;
  const Bootstrap bootstrap{kResamples, 0.95, seed};
  row.pooled = agreement(values, series.kl);
  row.interval = bootstrap_agreement(values, series.kl, bootstrap, series.window_kl);
  if (grouped) {
    row.within = agreement_within(values, series.kl, series.linears);
    row.within_interval =
        bootstrap_agreement_within(values, series.kl, series.linears, bootstrap, series.window_kl);
  }
  row.nll_spearman = spearman(values, series.nll);
  return row;
}

/// Of the units' κ²-scaled KL, that at another κ divided by that at the first.
std::vector<double> ratios_of(const std::vector<double>& first, const std::vector<double>& now) {
  std::vector<double> ratios;
  for (size_t u = 0; u < now.size(); ++u)
    if (first[u] > 0) ratios.push_back(now[u] / first[u]);
  return ratios;
}

/// The set's figures without its rows.
ValidationSet summary_of(const Series& series, double scale, double noise_kl) {
  ValidationSet set;
  set.scale = scale;
  set.units = static_cast<int64_t>(series.units.size());
  set.below_noise = std::count_if(series.kl.begin(), series.kl.end(),
                                  [&](double kl) { return kl * scale * scale < 10 * noise_kl; });
  set.median_kl = quantile_of(series.kl, 0.5);
  set.max_kl = quantile_of(series.kl, 1);
  return set;
}

}  // namespace

std::vector<ValidationSet> compare_units(const ValidationRequest& request,
                                         const std::vector<Unit>& units,
                                         const Measurements& measured,
                                         const std::vector<std::string>& labels,
                                         ProgressListener& listener) {
  std::vector<ValidationSet> sets;
  const auto add_rows = [&](const Series& series, size_t scheme, ValidationSet& set) {
    const bool grouped = set.kind == "channel" || set.kind == "group";
    for (size_t e = 0; e < labels.size() && series.units.size() >= kFewest; ++e) {
      for (const char* basis : {"score", "score x error", "predicted"}) {
        listener.poll();
        const std::vector<double> values = reading(series, scheme, e, basis);
        if (values.empty()) continue;
        ValidationRow row = row_of(values, series, grouped, request.seed);
        row.estimator = labels[e];
        row.basis = basis;
        set.rows.push_back(std::move(row));
      }
    }
  };
  for (const std::string& kind : request.units) {
    for (size_t s = 0; s < request.schemes.size(); ++s) {
      std::vector<double> first_kl;
      for (size_t k = 0; k < request.scales.size(); ++k) {
        const double scale = request.scales[k];
        const Series series = series_of(kind, units, measured.effects[s][k], scale);
        ValidationSet set = summary_of(series, scale, measured.noise_kl);
        set.kind = kind;
        set.scheme = request.schemes[s].name();
        if (k == 0) first_kl = series.kl;
        if (const auto ratios = ratios_of(first_kl, series.kl); k > 0 && !ratios.empty())
          set.scale_ratios = {quantile_of(ratios, 0.05), quantile_of(ratios, 0.5),
                              quantile_of(ratios, 0.95)};
        add_rows(series, s, set);
        sets.push_back(std::move(set));
      }
    }
  }
  return sets;
}

std::vector<ValidationSubset> compare_subsets(const MeasuringTask& task,
                                              const Measurements& measured,
                                              const std::vector<std::string>& labels) {
  std::vector<ValidationSubset> found;
  for (size_t s = 0; s < task.request.schemes.size(); ++s) {
    std::map<size_t, MeasuredEffect> single;  // by linear
    for (size_t u = 0; u < task.units.size(); ++u)
      if (task.units[u].kind == "linear")
        single[task.units[u].parts.front().linear] = measured.effects[s].front()[u];
    for (size_t u = 0; u < task.subsets.size(); ++u) {
      const Unit& unit = task.subsets[u];
      ValidationSubset subset{task.request.schemes[s].name(), {}, measured.subsets[s][u], {}, {}};
      for (const Unit::Part& part : unit.parts) {
        subset.linears.push_back(task.linears[part.linear].site.name);
        subset.sum_of_single.kl += single.at(part.linear).kl;
        subset.sum_of_single.nll += single.at(part.linear).nll;
      }
      const double scale = task.request.scales.front();
      for (size_t e = 0; e < labels.size(); ++e)
        if (const auto said = unit.predictions[s][e].predicted)
          subset.predicted[labels[e]] = *said * scale * scale;
      found.push_back(std::move(subset));
    }
  }
  return found;
}

std::string pairs_csv(const ValidationRequest& request, const std::vector<Unit>& units,
                      const Measurements& measured, const std::vector<std::string>& labels) {
  std::string text = "kind,unit,scheme,scale,kl,nll_change";
  for (const std::string& label : labels)
    text += "," + label + ".score," + label + ".predicted";
  text += "\n";
  for (size_t u = 0; u < units.size(); ++u) {
    if (units[u].kind == "noise") continue;
    for (size_t s = 0; s < request.schemes.size(); ++s) {
      for (size_t k = 0; k < request.scales.size(); ++k) {
        const MeasuredEffect& effect = measured.effects[s][k][u];
        text += units[u].kind + "," + units[u].name + "," + request.schemes[s].name() +
                csv_number(request.scales[k]) + csv_number(effect.kl) + csv_number(effect.nll);
        for (const Prediction& said : units[u].predictions[s])
          text += csv_number(said.score) + (said.predicted ? csv_number(*said.predicted) : ",");
        text += "\n";
      }
    }
  }
  return text;
}

}  // namespace ptq::detail
