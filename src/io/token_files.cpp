#include "token_files.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "posix.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "tokenizer/utf8.h"

namespace ptq {
namespace {
constexpr size_t kMaxShown = 60;  // bytes of a wrong value in a message

std::string shown_value(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, kMaxShown);
}

std::vector<int64_t> encode_checked(std::string_view text, const Tokenizer& tokenizer,
                                    int64_t vocab_size, const std::string& where) {
  std::vector<int64_t> ids = tokenizer.encode(text);
  for (const int64_t id : ids)
    if (id < 0 || id >= vocab_size)
      throw FormatError(where + ": the token id " + std::to_string(id) +
                            " is outside the model's vocabulary of " + std::to_string(vocab_size),
                        "does the tokenizer belong to this model?");
  return ids;
}

std::string read_non_empty(const std::filesystem::path& path) {
  constexpr int64_t kLimitBytes = int64_t{8} << 30;
  std::string text = read_text_file(path, kLimitBytes);
  if (text.empty()) throw FormatError(shown(path) + " is empty");
  return text;
}

std::vector<int64_t> read_jsonl(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                int64_t vocab_size) {
  const std::string content = read_non_empty(path);
  std::string_view rest = content;
  std::vector<int64_t> tokens;
  for (int64_t line = 1; !rest.empty(); ++line) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = shown(path) + " line " + std::to_string(line);
    const Json document = parse_json(text, where);
    if (!document.is_object()) throw FormatError(where + ": not a JSON object");
    if (!document.contains("text"))
      throw FormatError(where + ": the object has no \"text\"",
                        "each line is an object with a string \"text\"");
    if (!document["text"].is_string())
      throw FormatError(where + ": \"text\" is " + shown_value(document["text"]) +
                        ", not a string");
    const auto& body = document["text"].get_ref<const std::string&>();
    if (body.empty()) continue;
    const std::vector<int64_t> ids = encode_checked(body, tokenizer, vocab_size, where);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  if (tokens.empty()) throw FormatError(shown(path) + " holds no text");
  return tokens;
}

std::vector<int64_t> parse_row(const Json& row, int64_t vocab_size, const std::string& where) {
  if (!row.is_array()) throw FormatError(where + " is " + shown_value(row) + ", not a row of ids");
  if (row.empty()) throw FormatError(where + " is empty");
  std::vector<int64_t> ids;
  ids.reserve(row.size());
  for (const Json& value : row) {
    const std::string position = where + ", position " + std::to_string(ids.size());
    if (!value.is_number_integer())
      throw FormatError(position + ": " + shown_value(value) + " is not a whole number");
    const bool fits =
        value.is_number_unsigned() && value.get<uint64_t>() < static_cast<uint64_t>(vocab_size);
    if (!fits)
      throw FormatError(position + ": the token id " + shown_value(value) +
                        " is outside the model's vocabulary of " + std::to_string(vocab_size));
    ids.push_back(value.get<int64_t>());
  }
  return ids;
}
}  // namespace

std::vector<std::vector<int64_t>> read_token_rows(const std::filesystem::path& path,
                                                  int64_t vocab_size) {
  const Json json = parse_json(read_non_empty(path), shown(path));
  if (!json.is_array())
    throw FormatError(shown(path) + " is not an array of rows of token ids [[id, …], …]");
  if (json.empty()) throw FormatError(shown(path) + " holds no row");
  std::vector<std::vector<int64_t>> rows;
  for (const Json& row : json)
    rows.push_back(
        parse_row(row, vocab_size, shown(path) + ": row " + std::to_string(rows.size())));
  return rows;
}

std::vector<int64_t> read_text_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                      int64_t vocab_size) {
  const std::string text = read_non_empty(path);
  const size_t valid = ptq::tokenizer::valid_utf8_prefix(text);
  if (valid < text.size())
    throw FormatError(shown(path) + " is not UTF-8 at byte " + std::to_string(valid),
                      "convert it, for example with iconv");
  return encode_checked(text, tokenizer, vocab_size, shown(path));
}

std::vector<int64_t> read_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                 int64_t vocab_size) {
  const std::string extension = path.extension().string();
  if (extension == ".jsonl") return read_jsonl(path, tokenizer, vocab_size);
  if (extension == ".json") {
    std::vector<int64_t> tokens;
    for (const std::vector<int64_t>& row : read_token_rows(path, vocab_size))
      tokens.insert(tokens.end(), row.begin(), row.end());
    return tokens;
  }
  if (extension == ".txt" || extension == ".raw")
    return read_text_tokens(path, tokenizer, vocab_size);
  throw ConfigError(
      shown(path) + ": unknown kind of calibration file",
      "known: .txt and .raw (a text), .jsonl (objects with \"text\"), .json (token ids)");
}

}  // namespace ptq
