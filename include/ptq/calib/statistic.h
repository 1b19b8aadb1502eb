#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/core/registry.h"
#include "ptq/model/site.h"

namespace ptq {

/// What one linear sees of a batch of whole sequences; position 0 of each is the sequence's first
/// token.
struct SiteBatch {
  at::Tensor x;  ///< float32 [sequences, seq, in]: its input
  /// float32 [sequences, seq, out]: gradient of the summed next-token NLL (nats) of the sequence
  /// with respect to its output; undefined in a sweep without gradients.
  at::Tensor g;
  /// float32 [sequences, seq, in]: the input of the same tokens in the full-precision model;
  /// undefined where only one model runs.
  at::Tensor reference = {};
};

/// One sum that a statistic keeps for a linear.
struct SumLayout {
  std::string name;  ///< "sum", "diagonal", …
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
};

using Sums = std::map<std::string, at::Tensor>;

/// A quantity summed over tokens or sequences for one linear.  Its whole state is sums, so that
/// those of disjoint data merge by addition; the plug-in itself has no state.
class Statistic {
 public:
  virtual ~Statistic() = default;
  virtual bool needs_gradients() const { return false; }
  /// True if `add` reads SiteBatch::reference: the sweep then runs the full-precision model, too.
  virtual bool needs_reference() const { return false; }
  /// The sums kept for a linear [out, in]; what `needs_gradients` is false for depends on `in`
  /// only and is kept once for all linears that read the same input.
  virtual std::vector<SumLayout> layout(int64_t out, int64_t in) const = 0;
  /// Adds a batch to `sums`, shaped as `layout` says.  Must not keep the tensors it is given.
  virtual void add(const SiteBatch& batch, Sums& sums) const = 0;
  /// Called once after the last `add`: fills what was left out for speed, such as the second
  /// triangle of a symmetric matrix.  Finished sums still merge by addition.
  virtual void finish(Sums& /*sums*/) const {}
};

/// All statistics, by name.
const Registry<Statistic>& statistics();

/// How much data sums are over.
struct DataCounts {
  int64_t sequences = 0;
  int64_t tokens = 0;   ///< positions of all sequences
  int64_t targets = 0;  ///< tokens predicted by the loss: one less a sequence; 0 without gradients
};

/// What was collected for one linear: shared by the linears of an input where no gradient is in it.
class SiteStats {
 public:
  SiteStats() = default;

  /// The sum `name` of `statistic`; throws std::logic_error if it was not collected.
  const at::Tensor& sum(const std::string& statistic, const std::string& name = "sum") const&;
  /// True if `statistic` was collected.
  bool has(const std::string& statistic) const { return sums_.count(statistic) > 0; }
  const DataCounts& counts() const& { return counts_; }

  /// The same on `device`, with nothing derived yet; this object where all lies there.
  SiteStats to(at::Device device) const;

  /// Every statistic's sums, by its name.
  const std::map<std::string, std::shared_ptr<Sums>>& all() const& { return sums_; }

  /// For whoever collects or reads a store; ends the sharing of what was derived.
  void set(const std::string& statistic, std::shared_ptr<Sums> sums);
  /// The same for how much data the sums are over.
  void set_counts(const DataCounts& counts) { counts_ = counts; }

  /// What a plug-in derives from these statistics for every site that shares them, such as a
  /// factorization: the result of `make()`, made by the first call with this `key` and kept as long
  /// as the statistics or a copy of them.  Not thread-safe.
  template <class T, class Make>
  const T& derived(const std::string& key, Make&& make) const {
    std::shared_ptr<void>& kept = (*derived_)[{typeid(T), key}];
    if (!kept) kept = std::make_shared<T>(std::forward<Make>(make)());
    return *static_cast<const T*>(kept.get());
  }

 private:
  using Derived = std::map<std::pair<std::type_index, std::string>, std::shared_ptr<void>>;

  std::map<std::string, std::shared_ptr<Sums>> sums_;
  DataCounts counts_;
  std::shared_ptr<Derived> derived_ = std::make_shared<Derived>();
};

/// What a plug-in sees of one site.
struct SiteView {
  const LinearSite& site;
  const at::Tensor& weight;    ///< float32 [out, in]
  const SiteStats& stats;      ///< what the plug-in requested
  at::ScalarType model_dtype;  ///< dtype of the checkpoint's weight: decides how scales are stored
};

}  // namespace ptq
