#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ptq/backends/backend.h"

namespace ptq {

/// A backend and its name in the registry.
struct NamedBackend {
  std::string name;
  std::shared_ptr<const GemmBackend> backend;
};

/// The backends that a request leaves to choose from.
class BackendSelection {
 public:
  /// `request`: a backend's name, or "auto" for all that can run on this machine.  `settings`: the
  /// options of some by name, {"cuda": {"path": "fused"}}.  Throws ConfigError for an unknown name
  /// or option and for options of a backend that was not asked for, UnsupportedError with the
  /// reason for a backend that is not part of this build or cannot run on this machine.
  explicit BackendSelection(const std::string& request, const Json& settings = Json::object());

  /// Those that take `weight`, of falling priority; at least one.  Throws UnsupportedError with the
  /// reasons if there is none.
  std::vector<NamedBackend> takers(const WeightShape& weight) const;

  /// The first of `takers`; throws as it does.
  NamedBackend choose(const WeightShape& weight) const { return takers(weight).front(); }

  /// Why "auto" leaves some out: "cuda: no device".
  const std::vector<std::string>& left_out() const& { return left_out_; }

 private:
  std::vector<NamedBackend> candidates_;  ///< of falling priority
  std::vector<std::string> left_out_;
  std::string hint_;  ///< of an error: empty where "auto" was asked for already
};

}  // namespace ptq
