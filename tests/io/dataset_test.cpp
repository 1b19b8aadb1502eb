#include "ptq/io/dataset.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"
#include "ptq/io/sha256.h"
#include "ptq/io/tokenizer.h"

namespace ptq {
namespace {
using test::message_of;
using test::Scratch;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kVocab = 257;
constexpr int64_t kBos = 256;

/// One id per byte, after a BOS.
class ByteTokenizer : public Tokenizer {
 public:
  std::vector<int64_t> encode(std::string_view text, bool special_tokens) const override {
    std::vector<int64_t> ids;
    if (special_tokens) ids.push_back(kBos);
    for (const char c : text)
      ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  int64_t vocab_size() const override { return kVocab; }
  std::optional<int64_t> bos() const override { return kBos; }
};

CalibrationRequest request_for(const std::filesystem::path& file, int64_t samples, int64_t seqlen) {
  CalibrationRequest request;
  request.files = {file};
  request.samples = samples;
  request.seqlen = seqlen;
  return request;
}

auto load(const CalibrationRequest& request) {
  return load_calibration(request, ByteTokenizer(), kVocab);
}

std::vector<int64_t> row(const at::Tensor& ids, int64_t i) {
  return std::vector<int64_t>(ids[i].data_ptr<int64_t>(), ids[i].data_ptr<int64_t>() + ids.size(1));
}

TEST(Calibration, CutsOneTextTokenizedAtOnce) {
  const Scratch scratch;
  write_bytes(scratch / "a.txt", "0123456789");
  CalibrationRequest request = request_for(scratch / "a.txt", 2, 3);
  request.windows = "first";
  const auto [ids, report] = load(request);
  EXPECT_EQ(ids.sizes(), (at::IntArrayRef{2, 3}));
  EXPECT_THAT(row(ids, 0), ElementsAre(kBos, '0', '1'));
  EXPECT_THAT(row(ids, 1), ElementsAre('2', '3', '4'));
  EXPECT_EQ(report.tokens_available, 11);
  EXPECT_EQ(report.windows_available, 3);
  EXPECT_EQ(report.tokens_dropped, 2);
  EXPECT_EQ(report.tokens_requested, 6);
  EXPECT_EQ(report.tokens_used, 6);
  EXPECT_EQ(report.duplicate_windows, 0);
  EXPECT_FALSE(report.overlap.has_value());
  EXPECT_EQ(report.to_json()["files"][0]["sha256"], sha256_hex("0123456789"));
}

TEST(Calibration, SpreadTakesEvenStepsOverAllWindows) {
  const Scratch scratch;
  std::string text(99, 'x');
  for (size_t i = 0; i < text.size(); ++i)
    text[i] = static_cast<char>(i);
  write_bytes(scratch / "a.txt", text);  // 100 ids: BOS and 0 … 98
  const auto [ids, report] = load(request_for(scratch / "a.txt", 4, 10));
  EXPECT_EQ(report.windows_available, 10);
  // Windows 0, 2, 5, 7.
  EXPECT_EQ(ids[1][0].item<int64_t>(), 19);
  EXPECT_EQ(ids[2][0].item<int64_t>(), 49);
  EXPECT_EQ(ids[3][0].item<int64_t>(), 69);
}

TEST(Calibration, RandomWindowsAreDistinctAndFollowTheSeed) {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += "window " + std::to_string(1000 + i) + ";";
  write_bytes(scratch / "a.txt", text);
  CalibrationRequest request = request_for(scratch / "a.txt", 50, 12);
  request.windows = "random";
  request.seed = 1;
  const at::Tensor first = load(request).first;
  EXPECT_TRUE(load(request).first.equal(first));
  EXPECT_EQ(load(request).second.duplicate_windows, 0);
  request.seed = 2;
  EXPECT_FALSE(load(request).first.equal(first));
  // The same on every platform: an mt19937_64 written in Python draws windows 70, 314, 528, 950.
  request.seed = 1;
  request.samples = 4;
  const at::Tensor last_digits = load(request).first.slice(1, -3) - '0';
  const std::vector<int64_t> expected = {0, 7, 0, 3, 1, 4, 5, 2, 8, 9, 5, 0};
  EXPECT_TRUE(last_digits.equal(at::tensor(expected).view({4, 3})));
}

TEST(Calibration, TooFewWindowsAreAllUsedAndReported) {
  const Scratch scratch;
  write_bytes(scratch / "a.txt", "0123456789");
  const auto [ids, report] = load(request_for(scratch / "a.txt", 128, 4));
  EXPECT_EQ(ids.size(0), 2);
  EXPECT_EQ(report.windows_used, 2);
  EXPECT_EQ(report.windows_requested, 128);
}

TEST(Calibration, NotOneWindowIsAnErrorThatCounts) {
  const Scratch scratch;
  write_bytes(scratch / "a.txt", "0123456789");
  EXPECT_THAT(message_of<ConfigError>([&] { load(request_for(scratch / "a.txt", 1, 12)); }),
              HasSubstr("11 tokens, not one window of 12"));
}

TEST(Calibration, JsonlDocumentsAreTokenizedOneByOne) {
  const Scratch scratch;
  write_bytes(scratch / "a.jsonl",
              "{\"text\":\"ab\"}\r\n\n{\"id\":3,\"text\":\"\"}\n{\"text\":\"\\u00e9\"}");
  const at::Tensor ids = load(request_for(scratch / "a.jsonl", 1, 6)).first;
  EXPECT_THAT(row(ids, 0), ElementsAre(kBos, 'a', 'b', kBos, 0xC3, 0xA9));
}

TEST(Calibration, TokenRowsAreUsedAsTheyAre) {
  const Scratch scratch;
  write_bytes(scratch / "a.json", "[[1,2,3],[4,5,6]]");
  const at::Tensor rows = load(request_for(scratch / "a.json", 2, 3)).first;
  EXPECT_TRUE(rows.equal(at::tensor({1, 2, 3, 4, 5, 6}).to(at::kLong).view({2, 3})));
  const at::Tensor recut = load(request_for(scratch / "a.json", 2, 2)).first;
  EXPECT_THAT(row(recut, 1), ElementsAre(3, 4));
}

TEST(Calibration, AWindowNeverSpansTwoFiles) {
  const Scratch scratch;
  write_bytes(scratch / "a.json", "[[1,2,3,4,5]]");
  write_bytes(scratch / "b.json", "[[7,8,9]]");
  CalibrationRequest request = request_for(scratch / "a.json", 8, 2);
  request.files.push_back(scratch / "b.json");
  const auto [ids, report] = load(request);
  EXPECT_EQ(report.windows_used, 3);
  EXPECT_EQ(report.tokens_dropped, 2);
  EXPECT_THAT(row(ids, 2), ElementsAre(7, 8));
  EXPECT_EQ(report.sha256.size(), 2U);
}

TEST(Calibration, CountsDuplicates) {
  const Scratch scratch;
  write_bytes(scratch / "a.json", "[[1,2],[1,2],[3,4],[1,2]]");
  EXPECT_EQ(load(request_for(scratch / "a.json", 4, 2)).second.duplicate_windows, 2);
}

TEST(Calibration, MeasuresTheOverlapWithTheEvaluationText) {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += std::to_string(i * i) + " ";
  write_bytes(scratch / "test.txt", text);
  // The second of two windows of 40 is from the text: 9 of 18 runs of 32.
  std::string other(39, 'o');
  for (size_t i = 0; i < other.size(); ++i)
    other[i] = static_cast<char>('A' + i % 7);
  write_bytes(scratch / "calib.txt", other + text.substr(100, 40));
  CalibrationRequest request = request_for(scratch / "calib.txt", 2, 40);
  request.overlap_with = scratch / "test.txt";
  EXPECT_DOUBLE_EQ(load(request).second.overlap.value(), 0.5);
}

TEST(Calibration, RefusesAWrongRequest) {
  const Scratch scratch;
  write_bytes(scratch / "a.txt", "0123456789");
  write_bytes(scratch / "a.csv", "0123456789");
  CalibrationRequest request = request_for(scratch / "a.txt", 1, 4);
  request.windows = "last";
  EXPECT_THROW(load(request), ConfigError);
  EXPECT_THROW(load(request_for(scratch / "a.txt", 0, 4)), ConfigError);
  EXPECT_THROW(load(request_for(scratch / "a.txt", 1, 1)), ConfigError);
  EXPECT_THROW(load(request_for(scratch / "absent.txt", 1, 4)), ConfigError);
  EXPECT_THAT(message_of<ConfigError>([&] { load(request_for(scratch / "a.csv", 1, 4)); }),
              HasSubstr("unknown kind"));
  request.files.clear();
  request.windows = "first";
  EXPECT_THAT(message_of<ConfigError>([&] { load(request); }), HasSubstr("no calibration file"));
}

TEST(Calibration, RefusesBrokenFilesByFileAndFault) {
  const Scratch scratch;
  const auto message = [&](const std::string& name, const std::string& content) {
    write_bytes(scratch / name, content);
    const std::string text =
        message_of<FormatError>([&] { load(request_for(scratch / name, 1, 2)); });
    EXPECT_THAT(text, HasSubstr((scratch / name).string()));
    return text;
  };
  EXPECT_THAT(message("a.txt", ""), HasSubstr("is empty"));
  EXPECT_THAT(message("a.txt", "abc\xff"), HasSubstr("not UTF-8 at byte 3"));
  EXPECT_THAT(message("a.txt", "ab\xed\xa0\x80"), HasSubstr("not UTF-8 at byte 2"));
  EXPECT_THAT(message("a.jsonl", "{\"text\":\"a\"}\n{\"text\":"),
              HasSubstr("line 2: not valid JSON"));
  EXPECT_THAT(message("a.jsonl", "{\"text\":\"\xff\"}"), HasSubstr("line 1: not valid JSON"));
  EXPECT_THAT(message("a.jsonl", "\n[1]"), HasSubstr("line 2: not a JSON object"));
  EXPECT_THAT(message("a.jsonl", "{\"content\":\"a\"}"), HasSubstr("has no \"text\""));
  EXPECT_THAT(message("a.jsonl", "{\"text\":[1]}"), HasSubstr("\"text\" is [1], not a string"));
  EXPECT_THAT(message("a.jsonl", "\n\n"), HasSubstr("holds no text"));
  EXPECT_THAT(message("a.json", "{}"), HasSubstr("not an array of rows"));
  EXPECT_THAT(message("a.json", "[]"), HasSubstr("holds no row"));
  EXPECT_THAT(message("a.json", "[1,2]"), HasSubstr("row 0 is 1, not a row"));
  EXPECT_THAT(message("a.json", "[[1],[]]"), HasSubstr("row 1 is empty"));
  EXPECT_THAT(message("a.json", "[[1,2.0]]"), HasSubstr("row 0, position 1: 2.0"));
  EXPECT_THAT(message("a.json", "[[1,true]]"), HasSubstr("position 1: true"));
  EXPECT_THAT(message("a.json", "[[1,[2]]]"), HasSubstr("position 1: [2]"));
  EXPECT_THAT(message("a.json", "[[-1]]"), HasSubstr("-1 is outside"));
  EXPECT_THAT(message("a.json", "[[257]]"), HasSubstr("257 is outside the model's vocabulary"));
  EXPECT_THAT(message("a.json", "[[18446744073709551615]]"), HasSubstr("is outside"));
}

TEST(Calibration, ATokenizerBeyondTheVocabularyIsRefused) {
  const Scratch scratch;
  write_bytes(scratch / "a.txt", "0123456789");
  EXPECT_THAT(message_of<FormatError>([&] {
                load_calibration(request_for(scratch / "a.txt", 1, 4), ByteTokenizer(), 256);
              }),
              HasSubstr("256 is outside the model's vocabulary of 256"));
}

TEST(TokensText, IsTheWholeFileAfterOneBos) {
  const Scratch scratch;
  write_bytes(scratch / "wiki.raw", "a\n\nb");
  EXPECT_THAT(load_tokens_text(scratch / "wiki.raw", ByteTokenizer(), kVocab),
              ElementsAre(kBos, 'a', '\n', '\n', 'b'));
}

TEST(TokenRows, AreRefusedUnlessOfOneLength) {
  const Scratch scratch;
  write_bytes(scratch / "a.json", "[[1,2],[3,4],[5,6]]");
  EXPECT_TRUE(load_token_rows(scratch / "a.json", 10).equal(at::arange(1, 7).view({3, 2})));
  write_bytes(scratch / "a.json", "[[1,2],[3,4],[5]]");
  EXPECT_THAT(message_of<FormatError>([&] { load_token_rows(scratch / "a.json", 10); }),
              HasSubstr("row 2 has 1 ids, but row 0 has 2"));
}

// This program holds LibTorch, whose Protocol Buffers must not meet those of libsentencepiece.
TEST(TokensText, SharedSentencePieceModelIsReadBesideLibTorch) {
  const std::filesystem::path model =
      PTQ_SOURCE_DIR "/../shared/data/tokenizers/llama2/tokenizer.model";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no shared data";
  const Scratch scratch;
  std::filesystem::create_symlink(std::filesystem::absolute(model), scratch / "tokenizer.model");
  std::unique_ptr<Tokenizer> tokenizer;
  try {
    tokenizer = Tokenizer::open(scratch / "");
  } catch (const UnsupportedError& error) {
    GTEST_SKIP() << error.what();  // a build with AddressSanitizer
  }
  EXPECT_THAT(tokenizer->encode("Hello world", false), ElementsAre(15043, 3186));
  std::filesystem::remove(scratch / "tokenizer.model");
  write_bytes(scratch / "tokenizer.model", std::string(500, '\xff'));
  EXPECT_THROW(Tokenizer::open(scratch / ""), FormatError);
}

}  // namespace
}  // namespace ptq
