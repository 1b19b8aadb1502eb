#include <algorithm>
#include <iterator>
#include <sstream>

#include <gmock/gmock.h>

#include "json_view.h"
#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

std::filesystem::path shared_data() {
  return std::filesystem::path(PTQ_SOURCE_DIR) / "../shared/data";
}

struct Pair {
  std::string vectors, tokenizer;
  bool sentencepiece = false;
};

std::ostream& operator<<(std::ostream& out, const Pair& pair) {
  return out << pair.vectors;
}

class GgmlVectorsShared : public testing::TestWithParam<Pair> {};

TEST_P(GgmlVectorsShared, AreMatchedExactly) {
  const auto folder = shared_data() / "tokenizers";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  auto directory = folder / GetParam().tokenizer;
  if (GetParam().sentencepiece) {
    const auto model = read_bytes(directory / "tokenizer.model");
    directory = directory_with({{"tokenizer.model", model}});
  }
  std::unique_ptr<Tokenizer> tokenizer;
  try {
    tokenizer = Tokenizer::open(directory);
  } catch (const UnsupportedError& error) {
    GTEST_SKIP() << error.what();
  }
  const std::string stem = "ggml-vocab/ggml-vocab-" + GetParam().vectors + ".gguf";
  const std::string texts = read_bytes(folder / (stem + ".inp"));
  std::istringstream lines(read_bytes(folder / (stem + ".out")));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int count = 0;
  std::string line;
  for (size_t begin = 0; std::getline(lines, line); ++count) {
    const size_t end = std::min(texts.find(separator, begin), texts.size());
    const std::string text = texts.substr(begin, end - begin);
    std::istringstream numbers(line);
    const Ids expected{std::istream_iterator<int64_t>(numbers), {}};
    EXPECT_EQ(tokenizer->encode(text, false), expected) << text;
    begin = end + separator.size();
  }
  EXPECT_GE(count, 46);
}

INSTANTIATE_TEST_SUITE_P(All, GgmlVectorsShared,
                         testing::Values(Pair{"llama-spm", "llama2"},
                                         Pair{"llama-spm", "llama2", true}, Pair{"phi-3", "llama2"},
                                         Pair{"llama-bpe", "llama3"}, Pair{"qwen2", "qwen3"},
                                         Pair{"gpt-2", "gpt2"}),
                         [](const auto& test) {
                           std::string name =
                               test.param.vectors + (test.param.sentencepiece ? "Model" : "Json");
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

class ModelVectorsShared : public testing::TestWithParam<std::string> {};

TEST_P(ModelVectorsShared, AreMatchedExactly) {
  const auto directory = shared_data() / "models" / GetParam();
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << directory << " is absent";
  const auto tokenizer = Tokenizer::open(directory);
  const Json reference = read_json(directory / "reference.json");
  const std::string prompt = reference["prompt"];
  EXPECT_EQ(tokenizer->encode(prompt), reference["prompt_ids_with_bos"].get<Ids>());
  for (const Json& vector : reference["tokenizer_vectors"]) {
    const auto text = vector["text"].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text, false), vector["ids"].get<Ids>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ModelVectorsShared,
                         testing::Values("TinyStories-656K", "stories260K-hf"),
                         [](const auto& test) { return test.param.substr(0, 7); });

/// Counts and id checksums, sum of (i + 1) · id[i], of wiki.test.raw by the tokenizers library
/// 0.23.3 (opt: transformers 5.17); no special tokens.
struct Corpus {
  std::string directory;
  size_t tokens;
  int64_t checksum;
};

std::ostream& operator<<(std::ostream& out, const Corpus& corpus) {
  return out << corpus.directory;
}

class WikitextShared : public testing::TestWithParam<Corpus> {};

TEST_P(WikitextShared, HasTheSameIds) {
  const auto directory = shared_data() / GetParam().directory;
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << directory << " is absent";
  const auto tokenizer = Tokenizer::open(directory);
  const Ids ids = tokenizer->encode(read_bytes(shared_data() / "corpora/wiki.test.raw"), false);
  EXPECT_EQ(ids.size(), GetParam().tokens);
  int64_t checksum = 0;
  for (size_t i = 0; i < ids.size(); ++i)
    checksum += static_cast<int64_t>(i + 1) * ids[i];
  EXPECT_EQ(checksum, GetParam().checksum);
}

INSTANTIATE_TEST_SUITE_P(All, WikitextShared,
                         testing::Values(Corpus{"tokenizers/llama2", 335687, 440597388350959},
                                         Corpus{"tokenizers/llama3", 289076, 408639472295254},
                                         Corpus{"tokenizers/qwen3", 299078, 409046779733658},
                                         Corpus{"tokenizers/gpt2", 286221, 211394413797101},
                                         Corpus{"tokenizers/opt", 286221, 203965873753993},
                                         Corpus{"models/TinyStories-656K", 554431, 50175731727715},
                                         Corpus{"models/stories260K-hf", 809289, 119887686370468}),
                         [](const auto& test) {
                           std::string name =
                               test.param.directory.substr(test.param.directory.find('/') + 1);
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

}  // namespace
}  // namespace ptq::tokenizer
