#include "ptq/io/dataset.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "posix.h"
#include "ptq/io/sha256.h"
#include "token_files.h"
#include "windows.h"

namespace ptq {
namespace {
constexpr int64_t kOverlapLength = 32;

at::Tensor to_tensor(const std::vector<int64_t>& ids, int64_t rows) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return tensor.view({rows, -1});
}

void check_request(const CalibrationRequest& request) {
  if (request.files.empty())
    throw ConfigError("no calibration file is given", "--calibration FILE (.txt, .jsonl or .json)");
  if (request.samples < 1)
    throw ConfigError("samples is " + std::to_string(request.samples) + ", but must be at least 1");
  if (request.seqlen < 2)
    throw ConfigError("seqlen is " + std::to_string(request.seqlen) + ", but must be at least 2");
  choose_windows(0, 0, request.windows, request.seed);
}

/// One after the other the whole windows of all files; what is left of each file is dropped.
std::vector<int64_t> cut_files(const CalibrationRequest& request, const Tokenizer& tokenizer,
                               int64_t vocab_size, CalibrationReport& report) {
  std::vector<int64_t> windows;
  for (const std::filesystem::path& file : request.files) {
    const std::vector<int64_t> tokens = read_tokens(file, tokenizer, vocab_size);
    const auto count = static_cast<int64_t>(tokens.size());
    const int64_t dropped = count % request.seqlen;
    windows.insert(windows.end(), tokens.begin(), tokens.end() - dropped);
    report.tokens_available += count;
    report.tokens_dropped += dropped;
    report.sha256.emplace_back(file.string(), sha256_file(file));
  }
  return windows;
}
}  // namespace

Json CalibrationReport::to_json() const {
  Json files = Json::array();
  for (const auto& [file, digest] : sha256)
    files.push_back({{"file", file}, {"sha256", digest}});
  return {{"files", files},
          {"windows_available", windows_available},
          {"windows_requested", windows_requested},
          {"windows_used", windows_used},
          {"tokens_available", tokens_available},
          {"tokens_requested", tokens_requested},
          {"tokens_used", tokens_used},
          {"tokens_dropped", tokens_dropped},
          {"duplicate_windows", duplicate_windows},
          {"overlap", overlap ? Json(*overlap) : Json()}};
}

std::pair<at::Tensor, CalibrationReport> load_calibration(const CalibrationRequest& request,
                                                          const Tokenizer& tokenizer,
                                                          int64_t vocab_size) {
  check_request(request);
  const int64_t seqlen = request.seqlen;
  CalibrationReport report;
  const std::vector<int64_t> all = cut_files(request, tokenizer, vocab_size, report);
  report.windows_available = static_cast<int64_t>(all.size()) / seqlen;
  report.windows_requested = request.samples;
  report.tokens_requested = request.samples * seqlen;
  if (report.windows_available == 0)
    throw ConfigError("the calibration files hold " + std::to_string(report.tokens_available) +
                          " tokens, not one window of " + std::to_string(seqlen),
                      "give more text or a smaller seqlen");

  std::vector<int64_t> used;
  for (const int64_t window :
       choose_windows(report.windows_available, request.samples, request.windows, request.seed))
    used.insert(used.end(), all.begin() + window * seqlen, all.begin() + (window + 1) * seqlen);
  report.tokens_used = static_cast<int64_t>(used.size());
  report.windows_used = report.tokens_used / seqlen;
  report.duplicate_windows = count_duplicates(used, seqlen);
  if (!request.overlap_with.empty())
    report.overlap = overlap_share(
        used, seqlen, read_tokens(request.overlap_with, tokenizer, vocab_size), kOverlapLength);
  return {to_tensor(used, report.windows_used), std::move(report)};
}

std::vector<int64_t> load_tokens_text(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                      int64_t vocab_size) {
  return read_text_tokens(path, tokenizer, vocab_size);
}

at::Tensor load_token_rows(const std::filesystem::path& path, int64_t vocab_size) {
  std::vector<int64_t> ids;
  const std::vector<std::vector<int64_t>> rows = read_token_rows(path, vocab_size);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != rows[0].size())
      throw FormatError(shown(path) + ": row " + std::to_string(i) + " has " +
                        std::to_string(rows[i].size()) + " ids, but row 0 has " +
                        std::to_string(rows[0].size()));
    ids.insert(ids.end(), rows[i].begin(), rows[i].end());
  }
  return to_tensor(ids, static_cast<int64_t>(rows.size()));
}

}  // namespace ptq
