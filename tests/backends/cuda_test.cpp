#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/backends/backend.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

std::unique_ptr<GemmBackend> make() {
  return backends().make("cuda");
}

QuantizedTensor weight_of(const QuantScheme& scheme, int64_t out, int64_t in) {
  at::manual_seed(1);
  const int64_t groups = scheme.groups(in);
  QuantizedTensor weight;
  weight.q = at::randint(0, 16, {out, in}, at::kByte);
  weight.scale = at::full({out, groups}, 0.0078125F);
  weight.zero = at::full({out, groups}, 8, at::kByte);
  weight.group_of = contiguous_groups(scheme, in);
  weight.scheme = scheme;
  return weight;
}

TEST(CudaBackend, SaysWhichWeightsItTakes) {
  const auto cuda = make();
  EXPECT_EQ(cuda->unsupported({{4, 128, true}, 64, 256}), std::nullopt);
  EXPECT_EQ(cuda->unsupported({{4, -1, false}, 65, 77, true, true}), std::nullopt);
  EXPECT_NE(cuda->unsupported({{3, 128, true}, 64, 256}), std::nullopt);
  EXPECT_NE(cuda->unsupported({{4, 48, true}, 64, 96}), std::nullopt);
}

// Until a run on a device is on record (docs/cuda.md).
TEST(CudaBackend, AutoPrefersTheCpu) {
  EXPECT_LT(make()->priority(), backends().make("cpu")->priority());
}

TEST(CudaBackend, RefusesWhatItCannotPack) {
  const auto cuda = make();
  EXPECT_THROW(cuda->pack(weight_of({3, 64, true}, 8, 64), nullptr), UnsupportedError);
  QuantizedTensor odd = weight_of({4, 64, true}, 8, 64);
  odd.scale.fill_(0.1F);  // neither a float16 nor a bfloat16
  EXPECT_THROW(cuda->pack(odd, nullptr), UnsupportedError);
}

TEST(CudaBackend, SaysWhyItIsUnavailableIfPossible) {
  const auto cuda = make();
  const auto reason = cuda->unavailable();
  if (!reason) GTEST_SKIP() << "there is a device";
  EXPECT_FALSE(reason->empty());
  EXPECT_THROW(cuda->pack(weight_of({4, 64, true}, 8, 64), nullptr), UnsupportedError);
}

TEST(CudaBackend, UnitVectorsGiveTheWeightIfPossible) {
  const auto cuda = make();
  if (const auto reason = cuda->unavailable()) GTEST_SKIP() << *reason;
  const QuantizedTensor weight = weight_of({4, 64, true}, 70, 200);
  const auto packed = cuda->pack(weight, nullptr);
  const at::Tensor y = at::full({200, 70}, NAN);
  packed->multiply(at::eye(200), y);
  EXPECT_TRUE(y.equal(weight.dequantize().t()));
  EXPECT_GT(packed->bytes(), 70 * 200 / 2);
}

}  // namespace
}  // namespace ptq
