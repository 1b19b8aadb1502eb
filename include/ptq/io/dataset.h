#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/core/options.h"

namespace ptq {
class Tokenizer;

/// Which calibration windows a run asks for.
struct CalibrationRequest {
  /// .txt, .raw: one text, tokenized at once.  .jsonl: objects with a string `text`, each document
  /// tokenized on its own with the special tokens.  .json: rows of token ids.
  std::vector<std::filesystem::path> files;
  int64_t samples = 128;           ///< windows
  int64_t seqlen = 2048;           ///< tokens per window
  uint64_t seed = 0;               ///< of `windows` = "random"
  std::string windows = "spread";  ///< "spread" evenly, the "first", or "random" distinct ones
  int64_t hold_back = 0;           ///< of these windows the last so many are left for another use
  std::filesystem::path overlap_with;  ///< evaluation text to compare with; empty: none
};

/// What the files gave for a CalibrationRequest.
struct CalibrationReport {
  int64_t windows_available = 0, windows_requested = 0, windows_used = 0;
  int64_t tokens_available = 0;   ///< in all files
  int64_t tokens_requested = 0;   ///< samples * seqlen
  int64_t tokens_used = 0;        ///< in the windows returned
  int64_t tokens_dropped = 0;     ///< at the ends of files, too few for a window
  int64_t duplicate_windows = 0;  ///< used windows equal to an earlier one
  /// Share of the used windows' sequences of 32 tokens that occur in `overlap_with`.
  std::optional<double> overlap;
  std::vector<std::pair<std::string, std::string>> sha256;  ///< file as named, digest of its bytes
  Json to_json() const;
};

/// The calibration windows, int64 [windows, seqlen].  Each file is cut into consecutive windows on
/// its own; fewer than asked for are returned as they are (see the report).  Throws ConfigError for
/// no file, a missing file, an unknown extension or not one whole window; FormatError for an
/// empty file, invalid UTF-8, a broken JSON line (with its number) and an id outside
/// [0, vocab_size).
std::pair<at::Tensor, CalibrationReport> load_calibration(const CalibrationRequest& request,
                                                          const Tokenizer& tokenizer,
                                                          int64_t vocab_size);

/// The token ids of a whole text file, tokenized at once with the special tokens that the tokenizer
/// adds.  Throws as load_calibration.
std::vector<int64_t> load_tokens_text(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                      int64_t vocab_size);

/// Token ids int64 [rows, length] from a JSON file [[id, …], …] of rows of equal length.  Throws as
/// load_calibration, and FormatError for rows of unequal length.
at::Tensor load_token_rows(const std::filesystem::path& path, int64_t vocab_size);

}  // namespace ptq
