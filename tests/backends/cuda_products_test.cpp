#include <cstdlib>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "host_module.h"
#include "ptq/backends/backend.h"
#include "ptq/backends/rotation.h"
#include "ptq/core/error.h"

// What the backend `cuda` hands to its module to be timed, and takes from it.
namespace ptq {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kOut = 48, kIn = 64;

QuantizedTensor weight_of(int bits, float scale) {
  const QuantScheme scheme{bits, 64, true};
  return {at::zeros({kOut, kIn}, at::kByte), at::full({kOut, 1}, scale),
          at::full({kOut, 1}, 1 << (bits - 1), at::kByte), contiguous_groups(scheme, kIn), scheme};
}

std::unique_ptr<DeviceProducts> products_of(const GemmBackend& backend, float scale = 0x1.004p-7F) {
  return backend.on_device(weight_of(4, scale));
}

bool on_host_module() {
  const char* module = std::getenv("PTQ_CUDA_MODULE");
  return module != nullptr && std::string(module) == PTQ_HOST_MODULE;
}

TEST(Rotation, CopiesArePastTheCacheAndNoMoreThanNeeded) {
  constexpr int64_t kCache = 1000000;
  for (const double bytes : {12000.0, 99999.0, 100000.0, 3e6, 1e9}) {
    const auto copies = static_cast<double>(rotating_copies(bytes, kCache));
    EXPECT_GT(copies * bytes, 3.0 * kCache);
    EXPECT_LE((copies - 1) * bytes, 3.0 * kCache);
  }
  EXPECT_EQ(rotating_copies(1, kCache), kMostRotatingCopies);
  EXPECT_EQ(rotating_copies(0, kCache), kMostRotatingCopies);
}

TEST(DeviceProducts, BackendsOfTheProcessorHaveNone) {
  for (const char* name : {"cpu", "reference"})
    EXPECT_EQ(products_of(*backends().make(name)), nullptr);
}

TEST(CudaBackend, ProductsAreTimedOnTheDeviceIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto cuda = backends().make("cuda");
  const auto products = products_of(*cuda);
  EXPECT_EQ(products->rates().device, "host, float16");
  EXPECT_EQ(products->rates().dense, "cuBLASLt float16");
  EXPECT_EQ(products->rates().cache_bytes, host_module::kCacheBytes);
  EXPECT_EQ(products->rates().copy_bytes_per_second, host_module::kCopyRate);
  EXPECT_EQ(products->rates().flops_per_second, host_module::kMatrixRate);
  // The module fails where copies of the weight stay in its cache.
  const DeviceTiming plain = products->time(3, Launch::kPlain, 0.1);
  EXPECT_EQ(plain.seconds, host_module::kSmallSeconds + host_module::kLaunchSeconds);
  EXPECT_EQ(plain.dense_seconds, host_module::kDenseSeconds);
  EXPECT_EQ(plain.bytes, kOut * kIn + 3 * 2 * (kIn + kOut));  // a byte a weight there
  EXPECT_EQ(products->time(3, Launch::kGraph, 0.1).seconds, host_module::kSmallSeconds);
  EXPECT_EQ(products->time(host_module::kLargeRows, Launch::kGraph, 0.1).seconds,
            host_module::kLargeSeconds);
  EXPECT_EQ(products_of(*cuda, 0x1p-100F)->rates().dense, "cuBLASLt bfloat16");
}

TEST(CudaBackend, TimingsTakeThePathTheyWereToldIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto seconds = [](const Json& settings, int64_t rows) {
    return products_of(*backends().make("cuda", settings))->time(rows, Launch::kGraph, 0).seconds;
  };
  EXPECT_EQ(seconds({{"path", "fused"}}, host_module::kLargeRows), host_module::kSmallSeconds);
  EXPECT_EQ(seconds({{"path", "dequantize"}}, 1), host_module::kLargeSeconds);
  EXPECT_NO_THROW(seconds({{"tune", true}}, host_module::kTunedRows));
  EXPECT_THROW(seconds({{"tune", false}}, host_module::kTunedRows), Error);
}

TEST(CudaBackend, WhatCannotBeTimedIsRefusedIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto cuda = backends().make("cuda");
  EXPECT_THROW(cuda->on_device(weight_of(3, 0.5F)), UnsupportedError);
  const auto products = products_of(*cuda);
  EXPECT_THROW(products->time(host_module::kFailingRows, Launch::kPlain, 0), Error);
  setenv(host_module::kWithoutCublas, "1", 1);
  EXPECT_NO_THROW(products_of(*cuda));  // measured once
  try {
    products_of(*backends().make("cuda"));
    ADD_FAILURE() << "not refused";
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("libcublasLt is not there"));
  }
  unsetenv(host_module::kWithoutCublas);
}

}  // namespace
}  // namespace ptq
