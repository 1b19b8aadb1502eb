#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using Words = std::vector<uint32_t>;

std::unique_ptr<CheckpointFormat> awq() {
  return formats().make("awq");
}

/// Eight outputs whose codes and zero points are the columns of docs/formats.md's golden word.
QuantizedTensor golden_weight() {
  const at::Tensor columns = at::tensor({3, 10, 1, 8, 15, 6, 13, 4}, at::kByte).unsqueeze(1);
  QuantizedTensor weight = random_weight({4, 32, false}, 8, 64);
  weight.q = columns.repeat({1, 64});
  weight.zero = columns.repeat({1, 2});
  return weight;
}

TEST(Awq, CodesAndZeroPointsAreTheGoldenWord) {
  const auto packed = awq()->pack(make_site("a", 8, 64), golden_weight(), at::kFloat);
  EXPECT_EQ(words_of(packed.at("a.qweight")), Words(64, 0x468adf13));
  EXPECT_EQ(words_of(packed.at("a.qzeros")), Words(2, 0x468adf13));
}

TEST(Awq, ZeroPointsOfSymmetricLayersAreEights) {
  const auto packed =
      awq()->pack(make_site("a", 16, 32), random_weight({4, -1, true}, 16, 32), at::kFloat);
  EXPECT_EQ(words_of(packed.at("a.qzeros")), Words(2, 0x88888888));
}

// A field of a word is one output of one input: nothing else may move when one code does.
TEST(Awq, OneCodeChangesOneFieldOfItsInputsRow) {
  const LinearSite site = make_site("a", 16, 32);
  QuantizedTensor weight = random_weight({4, -1, false}, 16, 32);
  const at::Tensor before = awq()->pack(site, weight, at::kFloat).at("a.qweight");
  weight.q[9][5].bitwise_xor_(15);
  const at::Tensor changed =
      before.bitwise_xor(awq()->pack(site, weight, at::kFloat).at("a.qweight"));
  Words expected(64, 0);
  expected[5 * 2 + 1] = 0xf0000;  // column 8 + 1 lies in field 4
  EXPECT_EQ(words_of(changed), expected);
}

TEST(Awq, TensorsHaveTheShapesAndDtypesOfTheLayout) {
  const auto packed =
      awq()->pack(make_site("a", 64, 96), random_weight({4, 32, false}, 64, 96), at::kBFloat16);
  ASSERT_EQ(packed.size(), 3u);
  EXPECT_TRUE(packed.at("a.qweight").sizes().equals({96, 8}));
  EXPECT_TRUE(packed.at("a.qzeros").sizes().equals({3, 8}));
  EXPECT_TRUE(packed.at("a.scales").sizes().equals({3, 64}));
  EXPECT_EQ(packed.at("a.qweight").scalar_type(), at::kInt);
  EXPECT_EQ(packed.at("a.scales").scalar_type(), at::kHalf);
}

TEST(Awq, SaysWhichWidthsAndShapesFit) {
  const auto format = awq();
  for (const int bits : {2, 3, 5, 8})
    EXPECT_TRUE(format->unsupported(make_site("a", 64, 64), {bits, 32, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 64, 64), {4, 48, true}));
  EXPECT_TRUE(format->unsupported(make_site("a", 60, 64), {4, 32, true}));
  EXPECT_FALSE(format->unsupported(make_site("a", 8, 65), {4, -1, true}));
  EXPECT_FALSE(format->unsupported(make_site("a", 8, 65), {4, 13, false}));
}

TEST(Awq, ReadsBfloat16Scales) {
  const LinearSite site = make_site("a", 64, 64);
  const QuantizedTensor weight = random_weight({4, 16, false}, 64, 64);
  MapSource source(awq()->pack(site, weight, at::kFloat));
  at::Tensor& scales = source.tensors["a.scales"];
  scales = scales.to(at::kBFloat16);
  EXPECT_TRUE(identical(awq()->unpack(site, weight.scheme, source), weight));
}

TEST(Awq, RefusesOtherZeroPointsInASymmetricFile) {
  const LinearSite site = make_site("a", 64, 64);
  MapSource source(awq()->pack(site, random_weight({4, 16, true}, 64, 64), at::kFloat));
  source.tensors["a.qzeros"][1][2] = 0x48888888;
  try {
    awq()->unpack(site, {4, 16, true}, source);
    FAIL() << "accepted";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("a.qzeros"), std::string::npos);
  }
  EXPECT_NO_THROW(awq()->unpack(site, {4, 16, false}, source));
}

TEST(Awq, RefusesShapesThatDoNotFitWhateverIsStored) {
  const MapSource source({});
  const auto refused_for = [&](int64_t out, int64_t in, const char* reason) {
    try {
      awq()->unpack(make_site("a", out, in), {4, 32, false}, source);
      ADD_FAILURE() << "accepted";
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    }
  };
  refused_for(60, 64, "60 outputs");
  refused_for(64, 60, "does not divide the 60 inputs");
}

}  // namespace
}  // namespace ptq
