#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "json_view.h"

namespace ptq::tokenizer {

/// Tokens and their ids.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// Reads {"token": id, …}; FormatError for a bad id or two tokens with one id.
  explicit Vocabulary(const JsonView& json);

  /// The id of `token`, or -1.
  int32_t find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }
  /// How many tokens there are.
  size_t size() const { return ids_.size(); }
  /// The largest id plus one.
  int32_t id_limit() const { return static_cast<int32_t>(tokens_.size()); }
  /// Each token at its id; empty where an id is not used.
  const std::vector<std::string>& tokens() const& { return tokens_; }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, int32_t> ids_;  ///< keys are views of `tokens_`
};

}  // namespace ptq::tokenizer
