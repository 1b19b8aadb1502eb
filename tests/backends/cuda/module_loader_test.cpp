#include "module_loader.h"

#include <gmock/gmock.h>

namespace ptq::cuda {
namespace {

using ::testing::HasSubstr;

TEST(CudaModule, MissingOrForeignFilesAreReasons) {
  const CudaModule missing = open_cuda_module("no-such-folder/libptq_cuda.so");
  EXPECT_EQ(missing.api, nullptr);
  EXPECT_THAT(missing.reason, HasSubstr("no-such-folder/libptq_cuda.so"));
  const CudaModule foreign = open_cuda_module("libm.so.6");
  EXPECT_EQ(foreign.api, nullptr);
  EXPECT_THAT(foreign.reason, HasSubstr("not a module of CUDA kernels"));
}

// Builds without a toolkit have no module; machines without a device have a reason.
TEST(CudaModule, LoadsAndSaysWhatIsMissingIfPossible) {
  const std::string path = PTQ_CUDA_MODULE_PATH;
  if (path.empty()) GTEST_SKIP() << "built without CUDA";
  const CudaModule module = open_cuda_module(path);
  if (module.api == nullptr) {
    EXPECT_FALSE(module.reason.empty());
    EXPECT_THAT(module.reason, ::testing::Not(HasSubstr("cannot be loaded")));
    EXPECT_THAT(module.reason, ::testing::Not(HasSubstr("this program needs")));
  } else {
    EXPECT_GT(module.devices, 0);
  }
}

}  // namespace
}  // namespace ptq::cuda
