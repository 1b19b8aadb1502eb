#include "bpe_text_model.h"
#include "ptq/core/error.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

/// The lines "a b" of merges.txt below an optional "#version" line; they refer to `text`.
std::vector<MergeRule> parse_merges(std::string_view text, const std::string& file) {
  std::vector<MergeRule> merges;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.substr(0, 8) == "#version")) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      throw FormatError(file + ": line " + std::to_string(number) +
                        ": must be two tokens with a space between, is \"" + std::string(line) +
                        "\"");
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

}  // namespace

std::unique_ptr<Tokenizer> open_gpt2(const std::filesystem::path& directory, const Config& config) {
  const std::string& name = config.tokenizer_class;
  if (!name.empty() && name != "GPT2Tokenizer") {
    throw UnsupportedError(directory.string() + ": vocab.json and merges.txt of a \"" + name +
                               "\" are not supported, only those of GPT2Tokenizer",
                           "save tokenizer.json beside them with transformers' save_pretrained");
  }
  const auto vocab_file = directory / "vocab.json";
  const auto merges_file = directory / "merges.txt";
  const nlohmann::json json = read_json(vocab_file);
  const std::string text = read_bytes(merges_file);
  if (valid_utf8_prefix(text) < text.size()) {
    throw FormatError(merges_file.string() + ": is not UTF-8 at byte " +
                      std::to_string(valid_utf8_prefix(text)));
  }
  auto model = std::make_unique<BpeTextModel>(
      make_byte_level(config.add_prefix_space, true),
      Bpe(Vocabulary(JsonView(json, vocab_file.string())), parse_merges(text, merges_file.string()),
          BpeOptions{}, merges_file.string()));
  AddedTokenList added(
      [&model](const std::string& token) { return model->vocabulary().find(token); },
      static_cast<int32_t>(model->vocabulary().size()));
  added.add(config);
  Template ends = added.ends(config);
  return std::make_unique<Pipeline>(nullptr, std::move(model), added.tokens(), std::move(ends));
}

}  // namespace ptq::tokenizer
