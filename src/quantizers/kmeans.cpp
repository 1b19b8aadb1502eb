// SqueezeLLM's dense part (arXiv:2306.07629, eq. 4): a table of values for each row, by k-means
// with the diagonal of the Fisher information as weights; the optimum, where the paper iterates.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/core/parallel.h"
#include "ptq/quantizers/quantizer.h"
#include "weighted_kmeans.h"

namespace ptq::quantizer {
namespace {

/// One row and what its weights count.
struct Row {
  const float* weight;
  const float* fisher;  ///< null: all the same
  int64_t in;

  /// Exact zeros count nothing: what is left out of a weight is 0 in it.
  double importance(int64_t i) const {
    if (weight[i] == 0) return 0;
    return fisher == nullptr ? 1 : static_cast<double>(fisher[i]);
  }
};

/// The first of the entries nearest to `value`, of equal distance the lower.
int64_t nearest(const float* table, int64_t entries, float value) {
  const float* above = std::lower_bound(table, table + entries, value);
  if (above == table) return 0;
  const float* found = above - 1;
  const auto distance = [value](float entry) {
    return std::abs(static_cast<double>(entry) - static_cast<double>(value));
  };
  if (above != table + entries && distance(*above) < distance(*found)) found = above;
  return std::lower_bound(table, table + entries, *found) - table;
}

class KMeans : public Quantizer {
 public:
  explicit KMeans(std::string statistic) : statistic_(std::move(statistic)) {}

  std::optional<std::string> unsupported(const QuantScheme& scheme) const override {
    if (!scheme.lookup) return "it makes lookup tables (--lookup-table), and no grids";
    return std::nullopt;
  }

  std::vector<std::string> statistics() const override {
    if (statistic_.empty()) return {};
    return {statistic_};
  }

  int64_t workspace_bytes(const LinearSite& site) const override {
    // The splits of every thread's row at the most entries, and its sums; tables as they are
    // rounded.
    constexpr int64_t kEntries = 256, kSums = 10, kTables = 3;
    return at::get_num_threads() * site.in_features * (kEntries * 4 + kSums * 8) +
           kTables * site.out_features * kEntries * 4;
  }

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    scheme.check();
    if (unsupported(scheme)) throw UnsupportedError(site.site.name + ": no lookup table is asked");
    const int64_t out = site.weight.size(0), in = site.weight.size(1);
    const at::Tensor weight = site.weight.contiguous(), fisher = fisher_of(site);
    const auto row = [&](int64_t o) {
      return Row{weight.data_ptr<float>() + o * in,
                 fisher.defined() ? fisher.data_ptr<float>() + o * in : nullptr, in};
    };
    const int64_t entries = int64_t{1} << scheme.bits;
    at::Tensor table = at::empty({out, entries}, at::kFloat);
    std::vector<uint8_t> even(static_cast<size_t>(out));
    parallel_tasks(out, [&](int64_t o) {
      even[static_cast<size_t>(o)] = fill(site.site, row(o), table[o].data_ptr<float>(), entries);
    });
    QuantizedSite result;
    result.weight.table = storable_entries(table);
    result.weight.scheme = scheme;
    result.weight.group_of = contiguous_groups(scheme, in);
    result.weight.q = at::empty({out, in}, at::kByte);
    parallel_tasks(out, [&](int64_t o) {
      const float* entry = result.weight.table.data_ptr<float>() + o * entries;
      uint8_t* code = result.weight.q.data_ptr<uint8_t>() + o * in;
      const Row values = row(o);
      for (int64_t i = 0; i < in; ++i)
        code[i] = static_cast<uint8_t>(nearest(entry, entries, values.weight[i]));
    });
    // A row that was counted alike weighs as the others do on average.
    const double mean = fisher.defined() ? fisher.mean(at::kDouble).item<double>() : 1;
    result.relative_error = relative_error(result.weight, row, [&](int64_t o, double importance) {
      return even[static_cast<size_t>(o)] ? (mean > 0 ? mean : 1) : importance;
    });
    if (const auto rows = std::count(even.begin(), even.end(), 1); rows > 0 && fisher.defined())
      result.details["rows_without_fisher"] = rows;
    return result;
  }

 private:
  at::Tensor fisher_of(const SiteView& site) const {
    if (statistic_.empty()) return {};
    return site.stats.sum(statistic_).contiguous();
  }

  /// Fills the row's table; whether all of its weights had to count the same.
  static bool fill(const LinearSite& site, const Row& row, float* table, int64_t entries) {
    std::vector<WeightedValue> values;
    for (int64_t i = 0; i < row.in; ++i) {
      const double importance = row.importance(i);
      if (!std::isfinite(row.weight[i]) || !std::isfinite(importance) || importance < 0)
        throw NumericalError(
            site.name +
                ": a weight is not finite, or its Fisher information is not finite or negative",
            "look for NaN in the checkpoint or the statistics, or skip this linear");
      if (importance > 0) values.push_back({row.weight[i], importance});
    }
    const bool even = values.empty();
    for (int64_t i = 0; even && i < row.in; ++i)
      values.push_back({row.weight[i], 1});
    const std::vector<double> centers =
        weighted_kmeans(std::move(values), static_cast<int>(entries));
    for (int64_t k = 0; k < entries; ++k)
      table[k] = static_cast<float>(centers[std::min(static_cast<size_t>(k), centers.size() - 1)]);
    return even;
  }

  template <class RowAt, class Importance>
  static double relative_error(const QuantizedTensor& weight, const RowAt& row,
                               const Importance& importance) {
    const int64_t out = weight.out_features(), entries = weight.table.size(1);
    // Rows in order: the sum does not depend on threads.
    double error = 0, all = 0;
    for (int64_t o = 0; o < out; ++o) {
      const Row values = row(o);
      const float* entry = weight.table.data_ptr<float>() + o * entries;
      const uint8_t* code = weight.q.data_ptr<uint8_t>() + o * values.in;
      for (int64_t i = 0; i < values.in; ++i) {
        const double w = values.weight[i], miss = w - static_cast<double>(entry[code[i]]);
        const double counts = importance(o, values.importance(i));
        error += counts * miss * miss;
        all += counts * w * w;
      }
    }
    return all > 0 ? error / all : 0;
  }

  std::string statistic_;  ///< empty: none
};

}  // namespace

std::unique_ptr<Quantizer> kmeans(Options& options) {
  const std::string weights =
      options.get_choice("weights", "fisher", {"fisher", "none"},
                         "what a weight's error counts: its Fisher information, for which --stats "
                         "is needed, or all the "
                         "same");
  const std::string per = options.get_choice(
      "per", "sequence", {"sequence", "token"},
      "whether gradients are squared for every sequence, as in the paper, or for every token");
  return std::make_unique<KMeans>(weights == "none" ? "" : "fisher-" + per);
}

}  // namespace ptq::quantizer
