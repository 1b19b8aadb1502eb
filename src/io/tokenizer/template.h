#pragma once
#include <cstdint>
#include <vector>

#include "json_view.h"

namespace ptq::tokenizer {

/// What is put around the ids of a text.
struct Template {
  std::vector<int64_t> prefix;
  std::vector<int64_t> suffix;
};

/// Reads tokenizer.json's "post_processor" (TemplateProcessing, RobertaProcessing, BertProcessing,
/// ByteLevel, Sequence), nested `depth` deep; UnsupportedError for another type or a template that
/// does not hold the text once, FormatError for a malformed one.
Template make_template(const JsonView& json, int depth = 0);

}  // namespace ptq::tokenizer
