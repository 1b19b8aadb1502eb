#include <functional>
#include <thread>
#include <vector>

#include <ATen/ATen.h>
#include <dlfcn.h>
#include <gmock/gmock.h>

#include "host_module.h"
#include "ptq/backends/backend.h"
#include "ptq/backends/device_columns.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

using ::testing::HasSubstr;

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

/// Whether the stand-in of host_module.h is asked in place of a device.
bool on_host_module() {
  const char* module = std::getenv("PTQ_CUDA_MODULE");
  return module != nullptr && std::string(module) == PTQ_HOST_MODULE;
}

/// `body` throws an `E` that says `text` and proposes `hint`.
template <class E>
void expect_refusal(const std::function<void()>& body, const std::string& text,
                    const std::string& hint) {
  try {
    body();
    FAIL() << "not refused: " << text;
  } catch (const E& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
    EXPECT_EQ(error.hint(), hint);
  }
}

TEST(CudaBackend, SaysWhichWeightsItTakes) {
  const auto cuda = make();
  EXPECT_EQ(cuda->unsupported({{4, 128, true}, 64, 256}), std::nullopt);
  EXPECT_EQ(cuda->unsupported({{4, -1, false}, 65, 77, true, true}), std::nullopt);
  EXPECT_THAT(cuda->unsupported({{3, 128, true}, 64, 256}).value_or(""), HasSubstr("not 3"));
  EXPECT_THAT(cuda->unsupported({{4, 48, true}, 64, 96}).value_or(""), HasSubstr("not of 48"));
}

// Until a run on a device is on record (docs/cuda.md).
TEST(CudaBackend, AutoPrefersTheCpu) {
  EXPECT_LT(make()->priority(), backends().make("cpu")->priority());
}

TEST(CudaBackend, RefusesWhatItCannotPack) {
  const auto cuda = make();
  const auto packing = [&](const QuantizedTensor& weight) {
    return [&cuda, weight] { cuda->pack(weight, nullptr); };
  };
  expect_refusal<UnsupportedError>(packing(weight_of({3, 64, true}, 8, 64)),
                                   "the CUDA kernels take 4 bits, not 3",
                                   "use --backend reference");
  expect_refusal<UnsupportedError>(packing(weight_of({4, 48, true}, 8, 96)), "not of 48",
                                   "use --backend cpu");
  QuantizedTensor odd = weight_of({4, 64, true}, 8, 64);
  odd.scale.fill_(0.1F);
  expect_refusal<UnsupportedError>(packing(odd), "neither float16 nor bfloat16 holds every scale",
                                   "use --backend cpu");
}

TEST(CudaBackend, SaysWhyItIsUnavailableIfPossible) {
  const auto cuda = make();
  const auto reason = cuda->unavailable();
  if (!reason) GTEST_SKIP() << "there is a device";
  EXPECT_FALSE(reason->empty());
  expect_refusal<UnsupportedError>(
      [&] {
        cuda->pack(weight_of({4, 64, true}, 8, 64), nullptr);
      },
      *reason, "use --backend cpu");
}

TEST(CudaBackend, ActivationsBeyondFloat16AreRefusedIfPossible) {
  const auto cuda = make();
  if (const auto reason = cuda->unavailable()) GTEST_SKIP() << *reason;
  QuantizedTensor weight = weight_of({4, 64, true}, 16, 64);
  const at::Tensor x = at::ones({3, 64}), y = at::zeros({3, 16});
  x[2][5] = -65536.0F;
  cuda->pack(weight, nullptr)->multiply(x, y);  // its scale is a bfloat16, and so is x
  weight.scale.fill_(0x1.004p-7F);              // a float16 only
  const auto packed = cuda->pack(weight, nullptr);
  expect_refusal<NumericalError>([&] { packed->multiply(x, y); }, "-65536.000000 of row 2, input 5",
                                 "use --backend cpu");
  x[2][5] = -65504.0F;
  packed->multiply(x, y);
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

// With the stand-in for the module, whose only device is not the first.
TEST(CudaBackend, FailuresOfTheModuleHaveTheirKindIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto cuda = make();
  const auto packing = [&](int64_t out) {
    return [&cuda, out] { cuda->pack(weight_of({4, 64, true}, out, 64), nullptr); };
  };
  expect_refusal<ResourceError>(packing(host_module::kOutOfMemoryOut), "the device is full",
                                "use --backend cpu");
  expect_refusal<UnsupportedError>(packing(host_module::kUnavailableOut), "the driver is gone",
                                   "use --backend cpu");
  const auto packed = cuda->pack(weight_of({4, 64, true}, 8, 64), nullptr);
  const at::Tensor x = at::ones({host_module::kFailingRows, 64});
  const at::Tensor y = at::empty({host_module::kFailingRows, 8});
  expect_refusal<Error>([&] { packed->multiply(x, y); }, "a bad launch", "");
}

/// How often the stand-in has dequantized a weight so far, or another of its counts.
int64_t dequantizations(const char* which = host_module::kDequantizations) {
  void* module = dlopen(PTQ_HOST_MODULE, RTLD_NOW);
  const auto count = reinterpret_cast<int64_t (*)()>(dlsym(module, which));
  return count();
}

TEST(CudaBackend, APreparedWeightIsDequantizedOnceIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto packed = make()->pack(weight_of({4, 64, true}, 8, 64), nullptr);
  const at::Tensor x = at::randn({host_module::kLargeRows, 64});
  const auto product = [&] {
    at::Tensor y = at::empty({x.size(0), 8});
    packed->multiply(x, y);
    return y;
  };
  const auto during = [&](const std::function<void()>& body) {
    const int64_t before = dequantizations();
    body();
    return dequantizations() - before;
  };
  at::Tensor expected;
  EXPECT_EQ(during([&] { expected = product(), product(); }), 2);
  EXPECT_EQ(during([&] {
              const auto prepared = packed->prepare(host_module::kLargeRows);
              EXPECT_NE(prepared, nullptr);
              auto second = packed->prepare(host_module::kLargeRows);
              for (int batch = 0; batch < 3; ++batch)
                EXPECT_TRUE(at::equal(product(), expected));
              second.reset();  // the first still holds it
              product();
            }),
            1);
  EXPECT_EQ(during([&] { product(); }), 1);  // nothing is kept after the scope
  EXPECT_EQ(during([&] {
              const auto prepared = packed->prepare(host_module::kLargeRows - 1);
              packed->multiply(x.narrow(0, 0, 1), at::empty({1, 8}));
            }),
            0);  // so few rows are multiplied by packed weights
}

TEST(CudaBackend, TakesThePathItWasToldIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto dequantized = [](const Json& settings, int64_t rows) {
    const auto packed =
        backends().make("cuda", settings)->pack(weight_of({4, 64, true}, 8, 64), nullptr);
    const int64_t before = dequantizations();
    packed->multiply(at::randn({rows, 64}), at::empty({rows, 8}));
    const auto prepared = packed->prepare(rows);
    return dequantizations() - before;
  };
  EXPECT_EQ(dequantized({{"path", "auto"}}, 1), 0);
  EXPECT_EQ(dequantized({{"path", "auto"}}, host_module::kLargeRows), 2);
  EXPECT_EQ(dequantized({{"path", "fused"}}, host_module::kLargeRows), 0);
  EXPECT_EQ(dequantized({{"path", "dequantize"}}, 1), 2);
  EXPECT_THROW(dequantized({{"path", "fast"}}, 1), ConfigError);
  EXPECT_NO_THROW(dequantized({{"tune", true}}, host_module::kTunedRows));
  EXPECT_THROW(dequantized({{"tune", false}}, host_module::kTunedRows), Error);  // never silently
  EXPECT_THROW(dequantized(Json::object(), host_module::kTunedRows), Error);
}

TEST(CudaBackend, WithoutMemoryAWeightIsNotPreparedIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto packed = make()->pack(weight_of({4, 64, true}, host_module::kNoRoomOut, 64), nullptr);
  EXPECT_EQ(packed->prepare(host_module::kLargeRows), nullptr);
  const at::Tensor x = at::randn({host_module::kLargeRows, 64});
  packed->multiply(x, at::empty({x.size(0), host_module::kNoRoomOut}));
}

TEST(CudaBackend, APreparationMayOutliveItsWeightIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  auto packed = make()->pack(weight_of({4, 64, true}, 8, 64), nullptr);
  const std::weak_ptr<void> gone = [&] {
    const auto prepared = packed->prepare(host_module::kLargeRows);
    packed.reset();
    return std::weak_ptr<void>(prepared);
  }();
  EXPECT_TRUE(gone.expired());
}

TEST(CudaBackend, AWeightIsKeptForEachThreadThatHoldsItIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  const auto packed = make()->pack(weight_of({4, 32, true}, 16, 32), nullptr);
  const at::Tensor x = at::randn({host_module::kLargeRows, 32});
  const int64_t before = dequantizations(host_module::kDequantizedProducts);
  const auto batches = [&] {
    const at::Tensor y = at::empty({x.size(0), 16});
    for (int batch = 0; batch < 3000; ++batch) {
      const auto prepared = packed->prepare(x.size(0));
      packed->multiply(x, y);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back(batches);
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(dequantizations(host_module::kDequantizedProducts), before);
}

/// Two columns of one row, w = 0.3 and 0.7, that 4-bit codes of scale 1 and zero point 8 round.
struct TwoColumns {
  float weight[2] = {0.3F, 0.7F}, feedback[4] = {0, 0.9F, 0, 0};
  float pivot[2] = {1, 1}, added[2] = {0, 0}, scale[1] = {1}, miss[2] = {};
  int64_t order[2] = {1, 0};
  int32_t group[2] = {0, 0};
  uint8_t zero[1] = {8}, q[2] = {};
  double error[1] = {};
  DeviceColumns view{weight, nullptr, feedback, 1,    2, 0,     2, order, group,
                     pivot,  added,   scale,    zero, 1, 15.0F, q, miss,  error};
};

// The stand-in's device memory is the host's.
TEST(CudaBackend, RoundsColumnsThroughTheModuleIfPossible) {
  if (!on_host_module()) GTEST_SKIP() << "needs PTQ_CUDA_MODULE=" << PTQ_HOST_MODULE;
  EXPECT_EQ(device_columns_unavailable(host_module::kDevice), std::nullopt);
  EXPECT_EQ(device_columns_unavailable(0), "no such device");  // the machine's other one is able
  TwoColumns columns;
  round_columns_on_device(host_module::kDevice, nullptr, columns.view);
  EXPECT_EQ(columns.q[1], 9);  // 0.7 misses −0.3, of which 0.9 go to the other
  EXPECT_EQ(columns.q[0], 8);
  EXPECT_FLOAT_EQ(columns.miss[0], -0.3F);
  EXPECT_FLOAT_EQ(columns.miss[1], 0.3F);
  EXPECT_NEAR(columns.error[0], 0.3 * 0.3 + 0.03 * 0.03, 1e-6);
  columns.view.count = DeviceColumns::kMost + 1;
  EXPECT_THROW(round_columns_on_device(host_module::kDevice, nullptr, columns.view),
               std::logic_error);
  columns.view.count = 2;
  expect_refusal<UnsupportedError>(
      [&] { round_columns_on_device(host_module::kDevice + 1, nullptr, columns.view); },
      "no such device", "use --device cpu");
}

TEST(CudaBackend, SaysWhyItIsUnavailableForColumnsIfPossible) {
  const auto reason = device_columns_unavailable(0);
  if (!reason) GTEST_SKIP() << "there is a device";
  TwoColumns columns;
  expect_refusal<UnsupportedError>([&] { round_columns_on_device(0, nullptr, columns.view); },
                                   *reason, "use --device cpu");
}

}  // namespace
}  // namespace ptq
