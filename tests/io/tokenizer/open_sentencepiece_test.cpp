#include <cstring>

#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "sentencepiece_proto.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

const std::string kMark = "\xE2\x96\x81";

std::string field(int number, const std::string& content) {
  std::string bytes(1, static_cast<char>(number << 3 | 2));
  for (size_t size = content.size();; size >>= 7) {
    bytes += static_cast<char>((size & 0x7F) | (size > 0x7F ? 0x80 : 0));
    if (size <= 0x7F) break;
  }
  return bytes + content;
}

std::string number(int field, int value) {
  return {static_cast<char>(field << 3), static_cast<char>(value)};
}

std::string piece(const std::string& text, float score, int type = 1) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &score, 4);
  return field(1, field(1, text) + std::string(1, '\x15') + bytes + number(3, type));
}

/// A BPE model: <unk> 0, <s> 1, </s> 2, ▁ 3, a 4, b 5, ▁a 6, ab 7, ▁ab 8 and `more`.
std::string small_model(const std::string& more = "") {
  std::string model = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  model += piece(kMark, -9) + piece("a", -10) + piece("b", -11);
  model += piece(kMark + "a", -3) + piece("ab", -1) + piece(kMark + "ab", -2) + more;
  model += field(2, number(3, 2));                                        // trainer: BPE
  model += field(3, field(1, "identity") + number(3, 1) + number(4, 0));  // keep extra spaces
  return model;
}

std::unique_ptr<Tokenizer> open_model(const std::string& model, const std::string& config = "{}") {
  return Tokenizer::open(
      directory_with({{"tokenizer.model", model}, {"tokenizer_config.json", config}}));
}

/// Skips where the library cannot be opened: in builds with AddressSanitizer.
class SentencePieceIfPossible : public testing::Test {
 protected:
  void SetUp() override {
    try {
      open_model(small_model());
    } catch (const UnsupportedError& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_F(SentencePieceIfPossible, EncodesWithAPrefixSpaceAndKeepsExtraSpaces) {
  const auto tokenizer = open_model(small_model());
  EXPECT_THAT(tokenizer->encode("ab a"), ElementsAre(8, 6));
  EXPECT_THAT(tokenizer->encode(" ab  a"), ElementsAre(3, 8, 3, 6));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre());
  EXPECT_EQ(tokenizer->vocab_size(), 9);
}

TEST_F(SentencePieceIfPossible, EndsAreAddedAsStated) {
  EXPECT_THAT(open_model(small_model())->encode("a"), ElementsAre(6));
  const auto tokenizer =
      open_model(small_model(), R"({"add_bos_token": true, "add_eos_token": true})");
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(1, 6, 2));
  EXPECT_THAT(tokenizer->encode("a", false), ElementsAre(6));
  EXPECT_EQ(tokenizer->bos(), 1);
}

TEST_F(SentencePieceIfPossible, SpecialTokensInTextStartAWordBehindThemUnlessNotLegacy) {
  EXPECT_THAT(open_model(small_model())->encode("a</s>a"), ElementsAre(6, 2, 6));
  EXPECT_THAT(open_model(small_model(), R"({"legacy": false})")->encode("a</s>a"),
              ElementsAre(6, 2, 4));
}

TEST_F(SentencePieceIfPossible, CuttingIntoWordsChangesNothing) {
  // With "b▁" as a piece nothing may be cut, so both ways are taken.
  const std::string text = "ab a  b ab b a" + kMark + " a  ab ab";
  const auto cut = open_model(small_model())->encode(text);
  EXPECT_THAT(cut, ElementsAre(8, 6, 3, 3, 5, 8, 3, 5, 6, 3, 6, 3, 8, 8));
  const auto whole = open_model(small_model(piece("b" + kMark, -0.5F)))->encode(text);
  EXPECT_THAT(whole, ElementsAre(6, 9, 4, 3, 3, 9, 4, 9, 9, 4, 3, 6, 3, 6, 9, 7));
}

TEST(SentencePieceSpec, IsRead) {
  const SentencePieceSpec spec = read_sentencepiece_spec(small_model(), "file");
  EXPECT_TRUE(spec.bpe);
  EXPECT_FALSE(spec.removes_extra_whitespace);
  EXPECT_FALSE(spec.character_map);
  const SentencePieceSpec defaults = read_sentencepiece_spec("", "file");
  EXPECT_FALSE(defaults.bpe);
  EXPECT_TRUE(defaults.removes_extra_whitespace);
}

TEST_F(SentencePieceIfPossible, OtherBytesAreFormatErrors) {
  EXPECT_THROW(open_model(""), FormatError);
  EXPECT_THROW(open_model("IQ== 0\nIg== 1\n"), FormatError);  // tiktoken's format
  EXPECT_THROW(open_model(small_model().substr(0, 40)), FormatError);
  EXPECT_THROW(open_model(std::string(64, '\xFF')), FormatError);
}

}  // namespace
}  // namespace ptq::tokenizer
