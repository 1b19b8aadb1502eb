#pragma once
#include <memory>
#include <string>

#include "json_view.h"

namespace ptq::tokenizer {

/// A step that rewrites text before it is split.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// `text` (valid UTF-8) rewritten.
  virtual std::string apply(std::string text) const = 0;
};

/// Reads tokenizer.json's "normalizer", nested `depth` deep in Sequences; UnsupportedError for a
/// type that is not implemented, FormatError for a malformed one.
std::unique_ptr<Normalizer> make_normalizer(const JsonView& json, int depth = 0);

}  // namespace ptq::tokenizer
