#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptq/calib/statistic.h"

namespace ptq {

/// The statistics of a sweep, chosen by name.
class StatisticSet {
 public:
  StatisticSet() = default;
  /// `options`: of each by its name, {"weighted-gram": {"groups": 4}}; those of names that are not
  /// chosen are ignored.  Throws ConfigError for an unknown name, option or value.
  explicit StatisticSet(const std::vector<std::string>& names,
                        const Json& options = Json::object());

  bool empty() const { return statistics_.empty(); }
  /// True if one of them needs a reverse sweep.
  bool needs_gradients() const;
  /// True if one of them compares with the full-precision model.
  bool needs_reference() const;
  std::vector<std::string> names() const;
  /// {name: {option: value}}, defaults filled in.
  const Json& options() const& { return options_; }
  const std::map<std::string, std::unique_ptr<Statistic>>& all() const& { return statistics_; }

  /// Memory of the sums of `sites` together; linears that read one input share what they can.
  int64_t bytes(const std::vector<LinearSite>& sites) const;
  /// That of the sums of the statistic `name` alone, which must be in the set.
  int64_t bytes(const std::vector<LinearSite>& sites, const std::string& name) const;

 private:
  std::map<std::string, std::unique_ptr<Statistic>> statistics_;
  Json options_ = Json::object();
};

/// Zeros of every sum of `statistic` for a linear [out, in], on `device`.
Sums empty_sums(const Statistic& statistic, int64_t out, int64_t in, at::Device device = at::kCPU);

/// The sums of the linears that a sweep is at.  What depends on the input only is summed once for
/// the linears that read it: with the first of them that was added.
class Collector {
 public:
  /// `statistics` must outlive the collector.
  explicit Collector(const StatisticSet& statistics) : statistics_(statistics) {}

  const StatisticSet& statistics() const& { return statistics_; }

  /// Adds what `site` saw of a batch of whole sequences.  Throws std::logic_error if a statistic
  /// needs gradients or the reference and `batch` has none.
  void add(const LinearSite& site, const SiteBatch& batch);
  /// Finishes all sums; call once, after the last `add`.
  void finish();
  /// What was collected for `site`; linears share what they share, derived results too where all
  /// statistics are of the input.  Throws std::logic_error if nothing was.
  SiteStats stats(const LinearSite& site) const;
  /// Forgets all sums, so that the next block can be collected.
  void clear();

 private:
  struct Entry {
    std::string owner;  ///< the site that adds the input's statistics
    SiteStats stats;
  };

  const StatisticSet& statistics_;
  std::map<std::string, Entry> inputs_;     // by LinearSite::input
  std::map<std::string, SiteStats> sites_;  // by LinearSite::name; only with gradients
};

/// Throws NumericalError naming block, linear and window if `batch` holds NaN or infinity;
/// `first_window`: the number of its first sequence among all windows.
void require_finite(const LinearSite& site, const SiteBatch& batch, int64_t first_window);

}  // namespace ptq
