#include <cmath>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "module_loader.h"
#include "weight_case.h"

// The module on a real device: what the emulator cannot tell.  Skips where there is none.
namespace ptq::cuda {
namespace {

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = PTQ_CUDA_MODULE_PATH;
    if (path.empty()) GTEST_SKIP() << "built without CUDA";
    const CudaModule module = open_cuda_module(path);
    if (module.api == nullptr) GTEST_SKIP() << module.reason;
    api_ = module.api;
    expect_ok(api_->create(module.first_device, &context_));
  }
  void TearDown() override {
    if (context_ != nullptr) api_->destroy(context_);
  }

  void expect_ok(int32_t status) const { ASSERT_EQ(status, kW4a16Ok) << api_->last_error(); }

  std::shared_ptr<W4a16Layer> upload(const HostWeight& weight) const {
    const W4a16Weight view = view_of(weight);
    W4a16Layer* layer = nullptr;
    expect_ok(api_->upload(context_, &view, &layer));
    return {layer, api_->release};
  }

  std::vector<float> multiply(const HostWeight& weight, const W4a16Layer* layer,
                              const std::vector<float>& x, W4a16Path path) const {
    W4a16Product product{};
    product.m = static_cast<int64_t>(x.size()) / weight.k;
    std::vector<float> y(product.m * weight.n, NAN);
    product.x = x.data();
    product.y = y.data();
    product.x_stride = weight.k;
    product.y_stride = weight.n;
    product.x_is_float = product.y_is_float = product.on_host = 1;
    product.path = path;
    expect_ok(api_->multiply(context_, layer, &product));
    return y;
  }

  const W4a16Api* api_ = nullptr;
  W4a16Context* context_ = nullptr;
};

TEST_F(Gpu, UnitVectorsGiveTheRoundedWeightIfPossible) {
  for (CaseOptions options : all_cases()) {
    for (const W4a16Path path : {kW4a16Small, kW4a16Large}) {
      SCOPED_TRACE(options.name() + " path " + std::to_string(path));
      const WeightCase weight(options);
      const HostWeight packed = pack(weight.arrays(), options.number);
      const auto layer = upload(packed);
      std::vector<float> x(options.in * options.in, 0.0F);
      for (int64_t i = 0; i < options.in; ++i) {
        x[i * options.in + i] = 1;
      }
      for (const int64_t rows : {int64_t{1}, int64_t{9}, int64_t{17}, options.in}) {
        x.resize(std::min(rows, options.in) * options.in);
        const std::vector<float> y = multiply(packed, layer.get(), x, path);
        for (size_t i = 0; i < y.size(); ++i) {
          const auto input = static_cast<int64_t>(i) / options.out;
          ASSERT_EQ(y[i], decode(options.number,
                                 weight.rounded(static_cast<int64_t>(i) % options.out, input)));
        }
        x.resize(options.in * options.in, 0.0F);
        for (int64_t i = 0; i < options.in; ++i) {
          x[i * options.in + i] = 1;
        }
      }
    }
  }
}

// The bound of docs/numerics.md, on both paths and with the dequantized weight kept.
TEST_F(Gpu, ProductsAreWithinTheBoundIfPossible) {
  CaseOptions options;
  options.out = 1000;
  options.in = 1096;
  options.group_size = 128;
  options.sparse = options.permuted = options.zero_point = true;
  for (const Number number : {Number::kFp16, Number::kBf16}) {
    options.number = number;
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), number);
    const auto layer = upload(packed);
    const std::vector<float> w = weight.dense();
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 1);
    for (const int m : {1, 7, 16, 33, 64, 65, 200, 257}) {
      std::vector<float> x(m * options.in);
      for (float& value : x) {
        value = decode(number, encode(number, normal(random)));
      }
      if (m == 257) {
        const int64_t before = api_->layer_bytes(layer.get());
        expect_ok(api_->prepare(context_, layer.get(), m, kW4a16Small));
        ASSERT_EQ(api_->layer_bytes(layer.get()), before) << "kept what nobody uses";
        expect_ok(api_->prepare(context_, layer.get(), m, kW4a16Large));
        ASSERT_GE(api_->layer_bytes(layer.get()), before + options.out * options.in * 2);
      }
      for (const W4a16Path path : {kW4a16Small, kW4a16Large}) {
        const std::vector<float> y = multiply(packed, layer.get(), x, path);
        ASSERT_EQ(multiply(packed, layer.get(), x, path), y) << "not repeatable";
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); i += 13) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < options.in; ++k) {
            const double product = static_cast<double>(x[i / options.out * options.in + k]) *
                                   w[i % options.out * options.in + k];
            sum += product;
            magnitude += std::fabs(product);
          }
          ASSERT_NEAR(y[i], sum, 1200 * 0x1p-23 * magnitude) << m << " path " << path;
        }
      }
    }
  }
}

// No speed is asked for: only that both ways of launching are timed, and that graphs leave tickets
// and workspaces as they found them.
TEST_F(Gpu, TimesProductsAndGoesOnIfPossible) {
  W4a16Rates rates{};
  expect_ok(api_->measure(context_, 0, &rates));
  EXPECT_GT(rates.copy_bytes_per_second, 1e10);
  EXPECT_GT(rates.flops_per_second, 1e12);
  EXPECT_GT(rates.cache_bytes, 0);
  EXPECT_STRNE(rates.device, "");
  CaseOptions options;
  options.out = options.in = 1024;
  options.group_size = 128;
  const WeightCase weight(options);
  const HostWeight packed = pack(weight.arrays(), options.number);
  const auto layer = upload(packed), copy = upload(packed);
  const std::vector<const W4a16Layer*> layers = {layer.get(), copy.get()};
  const std::vector<float> x(2 * options.in, 0.5F);
  for (const W4a16Path path : {kW4a16Small, kW4a16Large}) {
    const std::vector<float> before = multiply(packed, layer.get(), x, path);
    for (const int32_t graph : {0, 1}) {
      W4a16Timing timing{};
      timing.layers = layers.data();
      timing.count = 2;
      timing.m = 16;
      timing.path = path;
      timing.graph = graph;
      timing.seconds = 0.03;
      expect_ok(api_->time_products(context_, &timing));
      EXPECT_GT(timing.packed_seconds, 1e-7);  // a kernel's start alone takes longer
      EXPECT_GT(timing.dense_seconds, 1e-7);
      EXPECT_EQ(multiply(packed, layer.get(), x, path), before);
    }
  }
}

TEST_F(Gpu, BadProductsAreRefusedIfPossible) {
  const WeightCase weight{CaseOptions{}};
  const auto layer = upload(pack(weight.arrays(), Number::kFp16));
  W4a16Product product{};
  product.m = 1;
  product.x_stride = 3;
  EXPECT_EQ(api_->multiply(context_, layer.get(), &product), kW4a16BadArgument);
  EXPECT_NE(std::string(api_->last_error()), "");
  W4a16Context* other = nullptr;
  EXPECT_NE(api_->create(1000, &other), kW4a16Ok);
}

}  // namespace
}  // namespace ptq::cuda
