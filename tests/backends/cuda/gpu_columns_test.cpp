#include <memory>
#include <vector>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "columns_case.h"
#include "module_loader.h"

// GPTQ's columns on a real device, in memory of another copy of CUDA's run-time library than the
// module's, as LibTorch's is.  Skips where there is none.
namespace ptq::cuda {
namespace {

/// A copy of `values` that device and host see.
template <class T>
std::shared_ptr<T> managed(const std::vector<T>& values) {
  if (values.empty()) return nullptr;
  void* memory = nullptr;
  if (cudaMallocManaged(&memory, values.size() * sizeof(T)) != cudaSuccess)
    throw std::runtime_error("no managed memory");
  std::copy(values.begin(), values.end(), static_cast<T*>(memory));
  return {static_cast<T*>(memory), cudaFree};
}

/// Rounds a case's columns on `device`, in a stream of the caller's.
int32_t round_on_device(const W4a16Api& api, int device, ColumnsCase& columns) {
  cudaSetDevice(device);
  const auto weight = managed(columns.weight), update = managed(columns.update);
  const auto feedback = managed(columns.feedback), pivot = managed(columns.pivot);
  const auto added = managed(columns.added), scale = managed(columns.scale);
  const auto miss = managed(columns.miss);
  const auto order = managed(columns.order);
  const auto group = managed(columns.group);
  const auto zero = managed(columns.zero), q = managed(columns.q);
  const auto error = managed(columns.error);
  DeviceColumns view = columns.view();
  view.weight = weight.get();
  view.update = update.get();
  view.feedback = feedback.get();
  view.order = order.get();
  view.group = group.get();
  view.pivot = pivot.get();
  view.added = added.get();
  view.scale = scale.get();
  view.zero = zero.get();
  view.q = q.get();
  view.miss = miss.get();
  view.error = error.get();
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  const int32_t status = api.round_columns(device, stream, &view);
  const bool computed = cudaStreamSynchronize(stream) == cudaSuccess;
  cudaStreamDestroy(stream);
  columns.q.assign(q.get(), q.get() + columns.q.size());
  columns.miss.assign(miss.get(), miss.get() + columns.miss.size());
  columns.error.assign(error.get(), error.get() + columns.error.size());
  return computed ? status : kW4a16Failure;
}

TEST(GpuColumns, GiveTheBitsOfThePlainLoopIfPossible) {
  const CudaModule module = open_cuda_module(PTQ_CUDA_MODULE_PATH);
  if (module.api == nullptr) GTEST_SKIP() << module.reason;
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    ColumnsCase plain(options), device(options);
    round_columns_plainly(plain);
    ASSERT_EQ(round_on_device(*module.api, module.first_device, device), kW4a16Ok)
        << module.api->last_error();
    EXPECT_EQ(device.q, plain.q);
    EXPECT_EQ(device.error, plain.error);
    for (size_t i = 0; i < plain.miss.size(); ++i) {
      ASSERT_TRUE(device.miss[i] == plain.miss[i] || plain.miss[i] != plain.miss[i]) << i;
    }
  }
}

TEST(GpuColumns, TooManyAreRefusedIfPossible) {
  const CudaModule module = open_cuda_module(PTQ_CUDA_MODULE_PATH);
  if (module.api == nullptr) GTEST_SKIP() << module.reason;
  ColumnsCase columns(all_columns().front());
  DeviceColumns view = columns.view();
  view.count = DeviceColumns::kMost + 1;
  EXPECT_EQ(module.api->round_columns(module.first_device, nullptr, &view), kW4a16BadArgument);
}

}  // namespace
}  // namespace ptq::cuda
