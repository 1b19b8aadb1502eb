#pragma once
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeindex>
#include <utility>

#include <ATen/core/Tensor.h>

#include "ptq/model/site.h"

namespace ptq {

/// Accumulates over the inputs of a stage; one instance is shared by all sites that read the same
/// input. Must not keep the tensors it is given.
class InputStatistic {
 public:
  virtual ~InputStatistic() = default;
  /// `x`: float32 [sequences, seq, in], a batch of whole sequences (position 0 of each is the
  /// sequence's first token).
  virtual void add(const at::Tensor& x) = 0;
  /// Called once after the last `add`.
  virtual void finish() {}
  /// Memory held, for the run's budget.
  virtual int64_t bytes() const = 0;
};

/// What a plug-in asks the calibration sweep to collect.  S must be constructible from
/// `in_features` (int64_t).
class StatRequest {
 public:
  template <class S>
  StatRequest& want() {
    makers_[typeid(S)] = [](int64_t in_features) -> std::unique_ptr<InputStatistic> {
      return std::make_unique<S>(in_features);
    };
    return *this;
  }
  bool empty() const { return makers_.empty(); }

  using Maker = std::function<std::unique_ptr<InputStatistic>(int64_t)>;
  const std::map<std::type_index, Maker>& makers() const& { return makers_; }
  void makers() && = delete;  // would dangle: keep the request in a variable

 private:
  std::map<std::type_index, Maker> makers_;
};

/// The statistics collected for one stage input.
class SiteStats {
 public:
  SiteStats() = default;
  /// Fresh, empty statistics of everything `request` asks for.
  SiteStats(const StatRequest& request, int64_t in_features);

  void add(const at::Tensor& x);  ///< feeds every statistic, see InputStatistic::add
  void finish();
  int64_t bytes() const;

  /// Throws std::logic_error if the plug-in did not `want<S>()`.
  template <class S>
  const S& get() const {
    const auto found = stats_.find(typeid(S));
    if (found == stats_.end()) throw std::logic_error("statistic read but not requested");
    return static_cast<const S&>(*found->second);
  }

  /// What a plug-in derives from these statistics for every site that shares them, such as a
  /// factorization: the result of `make()`, made by the first call with this `key` and kept as long
  /// as the statistics.  Not thread-safe.
  template <class T, class Make>
  const T& derived(const std::string& key, Make&& make) const {
    std::shared_ptr<void>& kept = derived_[{typeid(T), key}];
    if (!kept) kept = std::make_shared<T>(std::forward<Make>(make)());
    return *static_cast<const T*>(kept.get());
  }

 private:
  std::map<std::type_index, std::shared_ptr<InputStatistic>> stats_;
  mutable std::map<std::pair<std::type_index, std::string>, std::shared_ptr<void>> derived_;
};

/// What a plug-in sees of one site.
struct SiteView {
  const LinearSite& site;
  const at::Tensor& weight;    ///< float32 [out, in]
  const SiteStats& stats;      ///< what the plug-in requested
  at::ScalarType model_dtype;  ///< dtype of the checkpoint's weight: decides how scales are stored
};

}  // namespace ptq
