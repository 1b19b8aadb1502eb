#include "ptq/core/cpu.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// Sees which vector width it was started with.
struct Width {
  template <int W>
  [[gnu::always_inline]] static void run(int& width) {
    width = W;
  }
};

int expected_width(CpuLevel level) {
  return level == CpuLevel::kAvx512 ? 16 : level == CpuLevel::kAvx2 ? 8 : 4;
}

/// Exit code of a fresh process in which PTQ_CPU_ISA is `wanted`: the width that runs, 99 if
/// refused.
[[noreturn]] void exit_with_width(const char* wanted) {
  ::setenv("PTQ_CPU_ISA", wanted, 1);
  int width = 0;
  try {
    run_on_cpu<Width>(width);
  } catch (const ConfigError&) {
    width = 99;
  }
  std::_Exit(width);
}

class CpuDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST(Cpu, KernelsRunWithTheWidthOfTheLevel) {
  int width = 0;
  run_on_cpu<Width>(width);
  EXPECT_EQ(width, expected_width(cpu_level()));
}

TEST_F(CpuDeathTest, TheEnvironmentLowersTheLevel) {
  EXPECT_EXIT(exit_with_width("baseline"), testing::ExitedWithCode(4), "");
  EXPECT_EXIT(exit_with_width(""), testing::ExitedWithCode(expected_width(cpu_level())), "");
}

TEST_F(CpuDeathTest, AnUnknownLevelIsRefused) {
  EXPECT_EXIT(exit_with_width("sse9"), testing::ExitedWithCode(99), "");
}

}  // namespace
}  // namespace ptq
