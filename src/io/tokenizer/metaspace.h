#pragma once
#include <memory>

#include "json_view.h"
#include "pre_tokenizer.h"

namespace ptq::tokenizer {

/// Reads {"type": "Metaspace", …}: spaces become "▁", one is put in front (prepend_scheme always,
/// first, never, or the older add_prefix_space), and the text is split before each (split).
std::unique_ptr<PreTokenizer> make_metaspace(const JsonView& json);

}  // namespace ptq::tokenizer
