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

// Installations differ in the folder of libraries: lib, lib64, lib/x86_64-linux-gnu, a full path.
TEST(CudaModule, IsLookedForWhereItIsInstalled) {
  const auto places = module_places("/moved/bin/ptq", "lib64", "/usr/lib64");
  const std::vector<std::filesystem::path> expected = {
      "/moved/lib/libptq_cuda.so", "/moved/lib64/libptq_cuda.so", "/usr/lib64/libptq_cuda.so"};
  EXPECT_EQ(places, expected);
  EXPECT_EQ(module_places("/moved/bin/ptq", "/full/lib", "/full/lib")[1],
            "/full/lib/libptq_cuda.so");
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
