#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using Words = std::vector<uint32_t>;

QuantizedTensor golden_weight(int bits, int factor, int offset) {
  QuantizedTensor weight = random_weight({bits, -1, false}, 32, 32);
  for (int k = 0; k < 32; ++k)
    weight.q.select(1, k).fill_((factor * k + offset) % (1 << bits));
  return weight;
}

// The golden words of docs/formats.md: every column of qweight holds one output's codes.
TEST(GptqV2, CodesAreTheGoldenWordsOfEveryColumn) {
  const auto format = formats().make("gptq_v2");
  const LinearSite site = make_site("a", 32, 32);
  const at::Tensor four = format->pack(site, golden_weight(4, 7, 3), at::kFloat).at("a.qweight");
  const at::Tensor three = format->pack(site, golden_weight(3, 5, 1), at::kFloat).at("a.qweight");
  EXPECT_TRUE(four.sizes().equals({4, 32}));
  EXPECT_TRUE(three.sizes().equals({3, 32}));
  for (const int64_t out : {0, 13, 31}) {
    EXPECT_EQ(words_of(four.select(1, out)),
              (Words{0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b}));
    EXPECT_EQ(words_of(three.select(1, out)), (Words{0xf19d50f1, 0x50f19d50, 0x9d50f19d}));
  }
}

TEST(GptqV2, ZeroPointsAreTheGoldenWord) {
  QuantizedTensor weight = random_weight({4, 32, false}, 8, 64);
  weight.zero = at::tensor({8, 1, 0, 15, 7, 8, 9, 2}, at::kByte).unsqueeze(1).repeat({1, 2});
  const LinearSite site = make_site("a", 8, 64);
  const auto format = formats().make("gptq_v2");
  const auto packed = format->pack(site, weight, at::kFloat);
  EXPECT_EQ(words_of(packed.at("a.qzeros")), (Words{0x2987f018, 0x2987f018}));
  EXPECT_TRUE(identical(format->unpack(site, weight.scheme, MapSource(packed)), weight));
}

TEST(GptqV2, TensorsHaveTheShapesAndDtypesOfTheLayout) {
  const auto packed = formats().make("gptq_v2")->pack(
      make_site("a", 64, 96), random_weight({4, 32, false}, 64, 96), at::kBFloat16);
  ASSERT_EQ(packed.size(), 4u);
  EXPECT_TRUE(packed.at("a.qweight").sizes().equals({12, 64}));
  EXPECT_TRUE(packed.at("a.qzeros").sizes().equals({3, 8}));
  EXPECT_TRUE(packed.at("a.scales").sizes().equals({3, 64}));
  EXPECT_TRUE(packed.at("a.g_idx").sizes().equals({96}));
  EXPECT_EQ(packed.at("a.qweight").scalar_type(), at::kInt);
  EXPECT_EQ(packed.at("a.scales").scalar_type(), at::kHalf);
}

TEST(GptqV2, SaysWhichWidthsAndShapesFit) {
  const auto format = formats().make("gptq_v2");
  EXPECT_TRUE(format->unsupported(make_site("a", 64, 64), {5, 32, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 64, 64), {4, 48, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 64, 68), {4, -1, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 68, 64), {4, -1, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 64, 48), {3, -1, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 48, 64), {3, -1, true}));
  EXPECT_FALSE(format->unsupported(make_site("a", 64, 96), {3, 32, false}));
  EXPECT_FALSE(format->unsupported(make_site("a", 4, 8), {8, 8, true}));
}

TEST(GptqV2, ReadsActivationOrderAndRefusesAGroupOutOfRange) {
  const auto format = formats().make("gptq_v2");
  const LinearSite site = make_site("a", 64, 64);
  QuantizedTensor weight = random_weight({4, 16, false}, 64, 64);
  MapSource source(format->pack(site, weight, at::kFloat));
  weight.group_of = weight.group_of.index_select(0, at::randperm(64));
  source.tensors["a.g_idx"] = weight.group_of;
  EXPECT_TRUE(identical(format->unpack(site, weight.scheme, source), weight));
  for (const int bad : {-1, 4}) {
    (source.tensors["a.g_idx"] = weight.group_of.clone())[10] = bad;
    EXPECT_THROW(format->unpack(site, weight.scheme, source), FormatError);
  }
}

TEST(GptqV2, ReadsBfloat16Scales) {
  const auto format = formats().make("gptq_v2");
  const LinearSite site = make_site("a", 64, 64);
  const QuantizedTensor weight = random_weight({4, 16, false}, 64, 64);
  MapSource source(format->pack(site, weight, at::kFloat));
  at::Tensor& scales = source.tensors["a.scales"];
  scales = scales.to(at::kBFloat16);
  EXPECT_TRUE(identical(format->unpack(site, weight.scheme, source), weight));
}

TEST(GptqV2, RefusesShapesThatDoNotFillWords) {
  const MapSource source({});
  EXPECT_THROW(formats().make("gptq_v2")->unpack(make_site("a", 64, 60), {4, 60, true}, source),
               FormatError);
}

}  // namespace
}  // namespace ptq
