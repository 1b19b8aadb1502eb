#include "ptq/io/tokenizer.h"

#include "ptq/core/error.h"
#include "text_model.h"

namespace ptq {

std::unique_ptr<Tokenizer> Tokenizer::open(const std::filesystem::path& directory) {
  const auto has = [&](const char* name) { return std::filesystem::exists(directory / name); };
  const bool json = has("tokenizer.json");
  const bool sentencepiece = !json && has("tokenizer.model");
  if (!json && !sentencepiece && !(has("vocab.json") && has("merges.txt"))) {
    throw FormatError(directory.string() +
                          ": holds no tokenizer.json, no tokenizer.model and no vocab.json with "
                          "merges.txt",
                      "copy the tokenizer files of the original model there");
  }
  const tokenizer::Config config = tokenizer::Config::read(directory);
  if (json) return tokenizer::open_json(directory, config);
  return sentencepiece ? tokenizer::open_sentencepiece(directory, config)
                       : tokenizer::open_gpt2(directory, config);
}

}  // namespace ptq
