#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "ptq/io/tokenizer.h"

namespace ptq {

/// Rows of token ids from a JSON file [[id, …], …], of any lengths.  Throws FormatError naming the
/// row and position of what is not an id in [0, vocab_size), and for an empty file or row.
std::vector<std::vector<int64_t>> read_token_rows(const std::filesystem::path& path,
                                                  int64_t vocab_size);

/// The token ids of a text file, tokenized at once with special tokens.  Throws FormatError if it
/// is empty, not UTF-8, or gives an id outside [0, vocab_size).
std::vector<int64_t> read_text_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                      int64_t vocab_size);

/// All tokens of a calibration file in order, by its extension: .txt and .raw, .jsonl, .json.
std::vector<int64_t> read_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                 int64_t vocab_size);

}  // namespace ptq
