#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "compressed_tensors_config.h"
#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using Words = std::vector<uint32_t>;

std::unique_ptr<CheckpointFormat> compressed_tensors() {
  return formats().make("compressed-tensors");
}

QuantizedTensor golden_weight(int bits, int factor, int offset) {
  QuantizedTensor weight = random_weight({bits, 16, true}, 3, 32);
  for (int k = 0; k < 32; ++k)
    weight.q.select(1, k).fill_((factor * k + offset) % (1 << bits));
  return weight;
}

// The golden words of docs/formats.md: every row of weight_packed holds one output's codes.
TEST(CompressedTensors, CodesAreTheGoldenWordsOfEveryRow) {
  const LinearSite site = make_site("a", 3, 32);
  const at::Tensor four =
      compressed_tensors()->pack(site, golden_weight(4, 7, 3), at::kFloat).at("a.weight_packed");
  const at::Tensor three =
      compressed_tensors()->pack(site, golden_weight(3, 5, 1), at::kFloat).at("a.weight_packed");
  for (const int64_t out : {0, 2}) {
    EXPECT_EQ(words_of(four[out]), (Words{0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b}));
    EXPECT_EQ(words_of(three[out]), (Words{0xf19d50f1, 0x50f19d50, 0x9d50f19d}));
  }
}

TEST(CompressedTensors, ZeroPointsArePackedAlongTheOutputs) {
  QuantizedTensor weight = random_weight({4, 32, false}, 8, 64);
  weight.zero = at::tensor({8, 1, 0, 15, 7, 8, 9, 2}, at::kByte).unsqueeze(1).repeat({1, 2});
  const LinearSite site = make_site("a", 8, 64);
  const auto packed = compressed_tensors()->pack(site, weight, at::kFloat);
  EXPECT_TRUE(packed.at("a.weight_zero_point").sizes().equals({1, 2}));
  EXPECT_EQ(words_of(packed.at("a.weight_zero_point")), (Words{0x2987f018, 0x2987f018}));
  EXPECT_TRUE(
      identical(compressed_tensors()->unpack(site, weight.scheme, MapSource(packed)), weight));
}

TEST(CompressedTensors, TensorsHaveTheShapesAndDtypesOfTheLayout) {
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const auto packed = compressed_tensors()->pack(make_site("a", 384, 128),
                                                   random_weight({4, 64, true}, 384, 128), dtype);
    ASSERT_EQ(packed.size(), 3u);
    EXPECT_TRUE(packed.at("a.weight_packed").sizes().equals({384, 16}));
    EXPECT_EQ(packed.at("a.weight_packed").scalar_type(), at::kInt);
    EXPECT_TRUE(packed.at("a.weight_scale").sizes().equals({384, 2}));
    EXPECT_EQ(packed.at("a.weight_scale").scalar_type(), dtype);
    EXPECT_TRUE(packed.at("a.weight_shape").equal(at::tensor({384, 128}, at::kLong)));
  }
}

TEST(CompressedTensors, RefusesZeroPointsInASymmetricFile) {
  const LinearSite site = make_site("a", 64, 64);
  MapSource source(
      compressed_tensors()->pack(site, random_weight({4, 32, true}, 64, 64), at::kFloat));
  source.tensors["a.weight_zero_point"] = at::zeros({8, 2}, at::kInt);
  EXPECT_THROW(compressed_tensors()->unpack(site, {4, 32, true}, source), FormatError);
}

TEST(CompressedTensors, RefusesAShapeThatIsNotTheModels) {
  const LinearSite site = make_site("a", 64, 64);
  MapSource source(
      compressed_tensors()->pack(site, random_weight({4, 32, true}, 64, 64), at::kFloat));
  source.tensors["a.weight_shape"] = at::tensor({64, 63}, at::kLong);
  EXPECT_THROW(compressed_tensors()->unpack(site, {4, 32, true}, source), FormatError);
}

TEST(CompressedTensors, ReadsActivationOrderedGroups) {
  at::manual_seed(1);
  const LinearSite site = make_site("a", 64, 64);
  QuantizedTensor weight = random_weight({4, 16, false}, 64, 64);
  MapSource source(compressed_tensors()->pack(site, weight, at::kFloat));
  source.tensors["a.weight_g_idx"] = at::full({64}, -1, at::kInt);  // unused
  EXPECT_TRUE(identical(compressed_tensors()->unpack(site, weight.scheme, source), weight));
  weight.group_of = weight.group_of.index_select(0, at::randperm(64));
  source.tensors["a.weight_g_idx"] = weight.group_of;
  EXPECT_TRUE(identical(compressed_tensors()->unpack(site, weight.scheme, source), weight));
  (source.tensors["a.weight_g_idx"] = weight.group_of.clone())[3] = 4;
  EXPECT_THROW(compressed_tensors()->unpack(site, weight.scheme, source), FormatError);
}

// floor(32 / bits) values in each word, value by value, as compressed-tensors did before 0.17.
at::Tensor pack_padded(const at::Tensor& values, int bits) {
  const int64_t rows = values.size(0), n = values.size(1), per_word = 32 / bits;
  at::Tensor words = at::zeros({rows, padded_words(n, bits)}, at::kLong);
  for (int64_t i = 0; i < n; ++i)
    words.select(1, i / per_word)
        .add_(values.select(1, i).to(at::kLong) * (int64_t{1} << (i % per_word * bits)));
  return words.to(at::kInt);
}

TEST(CompressedTensors, ReadsThePaddedWordsOfOldFiles) {
  at::manual_seed(2);
  for (const int bits : {3, 5, 6, 7}) {
    const LinearSite site = make_site("a", 96, 64);
    const QuantizedTensor weight = random_weight({bits, 32, false}, 96, 64);
    MapSource source(compressed_tensors()->pack(site, weight, at::kFloat));
    source.tensors["a.weight_packed"] = pack_padded(weight.q, bits);
    source.tensors["a.weight_zero_point"] = pack_padded(weight.zero.t(), bits).t();
    EXPECT_TRUE(identical(compressed_tensors()->unpack(site, weight.scheme, source), weight))
        << bits;
  }
}

}  // namespace
}  // namespace ptq
