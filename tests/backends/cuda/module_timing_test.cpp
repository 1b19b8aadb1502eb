#include <memory>

#include <gtest/gtest.h>

#include "fake/fake_device.h"
#include "w4a16_api.h"
#include "weight_case.h"

// How the module times products: its host code on a device that has a clock only (fake_device.h).
namespace ptq::cuda {
namespace {

class ModuleTiming : public ::testing::Test {
 protected:
  void SetUp() override {
    fake::device() = {};
    ASSERT_EQ(api_.create(0, &context_), kW4a16Ok) << api_.last_error();
  }
  void TearDown() override {
    for (W4a16Layer* layer : layers_) {
      api_.release(layer);
    }
    api_.destroy(context_);
    EXPECT_TRUE(fake::device().memory.empty());
    EXPECT_EQ(fake::device().graphs, 0);
    EXPECT_FALSE(fake::device().recording);
  }

  /// Copies of a weight of 128 KiB, `copies` of which are more than three caches.
  void upload(bool sparse, int copies = 25) {
    CaseOptions options;
    options.out = kOut;
    options.in = kIn;
    options.sparse = sparse;
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    const W4a16Weight view = view_of(packed);
    for (; copies > 0; --copies) {
      layers_.emplace_back();
      ASSERT_EQ(api_.upload(context_, &view, &layers_.back()), kW4a16Ok) << api_.last_error();
    }
  }

  W4a16Timing timing(int64_t rows, W4a16Path path, bool graph) const {
    W4a16Timing timing{};
    timing.layers = layers_.data();
    timing.count = static_cast<int64_t>(layers_.size());
    timing.m = rows;
    timing.path = path;
    timing.graph = graph ? 1 : 0;
    timing.seconds = 0.05;
    return timing;
  }
  W4a16Timing time(int64_t rows, W4a16Path path, bool graph) const {
    W4a16Timing timed = timing(rows, path, graph);
    fake::device().count.clear();
    EXPECT_EQ(api_.time_products(context_, &timed), kW4a16Ok) << api_.last_error();
    return timed;
  }

  static constexpr int64_t kOut = 512, kIn = 512;
  const W4a16Api& api_ = *ptq_w4a16_api();
  W4a16Context* context_ = nullptr;
  std::vector<W4a16Layer*> layers_;
};

// Launches of 4 us each bound plain calls; a graph has one launch for all its calls, which over
// intervals of 10 ms is less than a thousandth.
TEST_F(ModuleTiming, AGraphHidesTheLaunchesThatBoundPlainCalls) {
  upload(false);
  const W4a16Timing plain = time(1, kW4a16Small, false), graph = time(1, kW4a16Small, true);
  EXPECT_NEAR(plain.packed_seconds, fake::kLaunchSeconds, 1e-3 * fake::kLaunchSeconds);
  EXPECT_NEAR(graph.packed_seconds, fake::kSmallSeconds, 1e-3 * fake::kSmallSeconds);
  EXPECT_NEAR(plain.dense_seconds, fake::kLaunchSeconds, 1e-3 * fake::kLaunchSeconds);
  const double dense = 2.0 * kOut * kIn / fake::kMatrixRate;
  EXPECT_NEAR(graph.dense_seconds, dense, 1e-3 * dense);
}

TEST_F(ModuleTiming, EachPathIsTimedAsAWholeIfItsPartsAreInAGraph) {
  upload(true);
  const W4a16Timing small = time(2, kW4a16Small, true);
  EXPECT_NEAR(small.packed_seconds, 1e-6 + fake::kSmallSeconds, 1e-8);
  EXPECT_EQ(fake::device().count["sparse"], fake::device().count["small"]);
  EXPECT_LE(fake::device().count["clear"], 1);  // tickets are 0 again when a graph is replayed
  const W4a16Timing large = time(2, kW4a16Large, true);
  const double dense = 4.0 * kOut * kIn / fake::kMatrixRate;
  EXPECT_NEAR(large.packed_seconds, fake::kDequantizeSeconds + 1e-6 + dense, 1e-7);
}

TEST_F(ModuleTiming, WeightsAndOperandsRotatePastTheCache) {
  upload(false);
  for (const int64_t rows : {1, 64}) {
    fake::device().weights = fake::device().inputs = fake::device().outputs = {};
    fake::device().dense_weights.clear();
    time(rows, kW4a16Small, false);
    EXPECT_EQ(fake::device().weights.size(), layers_.size());
    EXPECT_GT(fake::device().dense_weights.size() * kOut * kIn * 2, 3 * fake::kCacheBytes);
    const size_t least = rows == 1 ? 256 : 1 + 3 * fake::kCacheBytes / (64 * kIn * 2);
    EXPECT_EQ(fake::device().inputs.size(), least);
    EXPECT_EQ(fake::device().outputs.size(), least);
  }
}

TEST_F(ModuleTiming, AFailureWhileAGraphIsRecordedLeavesTheContextUsable) {
  upload(false);
  fake::device().failing = "small";
  W4a16Timing timed = timing(1, kW4a16Small, true);
  EXPECT_EQ(api_.time_products(context_, &timed), kW4a16Failure);
  EXPECT_STREQ(api_.last_error(), "a bad launch");
  EXPECT_FALSE(fake::device().recording);
  fake::device().failing.clear();
  EXPECT_GT(time(1, kW4a16Small, true).packed_seconds, 0);
}

TEST_F(ModuleTiming, RatesAreTheDevices) {
  W4a16Rates rates{};
  ASSERT_EQ(api_.measure(context_, 0, &rates), kW4a16Ok) << api_.last_error();
  EXPECT_STREQ(rates.device, "a device without memory");
  EXPECT_EQ(rates.cache_bytes, fake::kCacheBytes);
  EXPECT_NEAR(rates.copy_bytes_per_second, fake::kBandwidth, 1e-3 * fake::kBandwidth);
  EXPECT_NEAR(rates.flops_per_second, fake::kMatrixRate, 1e-3 * fake::kMatrixRate);
}

TEST_F(ModuleTiming, NothingAndNoCublasAreRefused) {
  upload(false, 1);
  W4a16Timing nothing = timing(0, kW4a16Auto, false);
  EXPECT_EQ(api_.time_products(context_, &nothing), kW4a16BadArgument);
  nothing.m = 1;
  nothing.count = 0;
  EXPECT_EQ(api_.time_products(context_, &nothing), kW4a16BadArgument);
  fake::device().has_blas = false;
  W4a16Rates rates{};
  EXPECT_EQ(api_.measure(context_, 0, &rates), kW4a16Unavailable);
  nothing.count = 1;
  EXPECT_EQ(api_.time_products(context_, &nothing), kW4a16Unavailable);
}

}  // namespace
}  // namespace ptq::cuda
