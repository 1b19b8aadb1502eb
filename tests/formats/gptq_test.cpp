#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "gptq_zeros.h"
#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using Words = std::vector<uint32_t>;

std::unique_ptr<CheckpointFormat> gptq() {
  return formats().make("gptq");
}

// The golden words of docs/formats.md for symmetric layers.
TEST(Gptq, SymmetricZeroPointsAreTheGoldenWords) {
  const auto qzeros = [](int bits) {
    const LinearSite site = make_site("a", 32, 32);
    return words_of(
        gptq()->pack(site, random_weight({bits, -1, true}, 32, 32), at::kFloat).at("a.qzeros"));
  };
  EXPECT_EQ(qzeros(2), Words(2, 0x55555555));
  EXPECT_EQ(qzeros(3), (Words{0xdb6db6db, 0xb6db6db6, 0x6db6db6d}));
  EXPECT_EQ(qzeros(4), Words(4, 0x77777777));
  EXPECT_EQ(qzeros(8), Words(8, 0x7f7f7f7f));
}

TEST(Gptq, ZeroPointsAboveZeroAreStoredMinusOne) {
  const at::Tensor zero = at::tensor({8, 1, 3, 15, 7, 8, 9, 2}, at::kByte).unsqueeze(1);
  EXPECT_EQ(words_of(pack_zeros(zero, 4, GptqVersion::kV2)), Words{0x2987f318});
  EXPECT_EQ(words_of(pack_zeros(zero, 4, GptqVersion::kV1)), Words{0x2987f318u - 0x11111111u});
  const at::Tensor words = pack_zeros(zero, 4, GptqVersion::kV1);
  EXPECT_TRUE(unpack_zeros(words, {4, 32, false}, GptqVersion::kV1, "").equal(zero));
}

TEST(Gptq, AZeroPointOfZeroIsNeitherWrittenNorGuessed) {
  const at::Tensor zero = at::tensor({8, 1, 0, 15, 7, 8, 9, 2}, at::kByte).unsqueeze(1);
  EXPECT_THROW(pack_zeros(zero, 4, GptqVersion::kV1), UnsupportedError);
  // As GPTQModel writes it: one subtracted from every field of the word at once.
  const at::Tensor words = at::tensor({0x1876df07}, at::kInt).unsqueeze(0);
  EXPECT_THROW(unpack_zeros(words, {4, 32, false}, GptqVersion::kV1, "a.qzeros"), UnsupportedError);
}

TEST(Gptq, RefusesAsymmetricSchemesBeforehand) {
  const auto reason = gptq()->unsupported(make_site("a", 64, 64), {4, 32, false});
  ASSERT_TRUE(reason.has_value());
  EXPECT_NE(reason->find("gptq_v2"), std::string::npos);
}

QuantizedTensor read_with_zeros(const std::string& format, int bits, const Words& words,
                                std::vector<std::string>& notes) {
  const LinearSite site = make_site("a", 32, 32);
  const QuantScheme scheme{bits, -1, true};
  MapSource source(formats().make("gptq")->pack(site, random_weight(scheme, 32, 32), at::kFloat));
  at::Tensor qzeros = source.tensor("a.qzeros").clone();
  for (int64_t i = 0; i < qzeros.numel(); ++i)
    qzeros[0][i] = static_cast<int32_t>(words.at(static_cast<size_t>(i) % words.size()));
  source.tensors["a.qzeros"] = qzeros;
  const auto reader = formats().make(format);
  notes = reader->notes({{"a", scheme}}, source);
  return reader->unpack(site, scheme, source);
}

TEST(Gptq, WordsOfSymmetricFilesAreBelievedNotTheLabel) {
  struct Case {
    const char* label;
    int bits;
    Words words;
    bool noted;
  };
  for (const Case& c :
       {Case{"gptq", 4, {0x77777777}, false}, Case{"gptq", 4, {0x88888888}, true},
        Case{"gptq_v2", 4, {0x88888888}, false}, Case{"gptq_v2", 4, {0x77777777}, true},
        Case{"gptq", 8, {0x80808080}, true}, Case{"gptq", 2, {0xaaaaaaaa}, true},
        Case{"gptq", 3, {0x24924924, 0x49249249, 0x92492492}, true},
        Case{"gptq", 3, {0x00000000, 0xb6db6db7, 0x49249249}, true},
        Case{"gptq_v2", 3, {0x00000000, 0xb6db6db7, 0x49249249}, true}}) {
    std::vector<std::string> notes;
    const QuantizedTensor weight = read_with_zeros(c.label, c.bits, c.words, notes);
    EXPECT_NO_THROW(weight.check());
    EXPECT_EQ(notes.size(), c.noted ? 1u : 0u) << c.label << " " << c.bits;
  }
}

TEST(Gptq, RefusesOtherZeroPointsInASymmetricFile) {
  std::vector<std::string> notes;
  EXPECT_THROW(read_with_zeros("gptq", 4, {0x77777776}, notes), FormatError);
  EXPECT_THROW(read_with_zeros("gptq", 4, {0x77777777, 0x88888888}, notes), FormatError);
  EXPECT_THROW(read_with_zeros("gptq", 8, {0x77777777}, notes), FormatError);
}

}  // namespace
}  // namespace ptq
