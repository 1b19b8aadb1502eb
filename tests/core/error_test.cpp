#include "ptq/core/error.h"

#include <new>

#include <gtest/gtest.h>

namespace {

std::string told(const std::exception& error) {
  return ptq::describe(error);
}

TEST(Error, TellsTheInnermostMessageThenItsContexts) {
  try {
    ptq::with_context("quantizing a", [] {
      ptq::with_context("factorizing", [] {
        throw ptq::NumericalError("not positive definite", "raise damping");
      });
    });
    FAIL() << "nothing was thrown";
  } catch (const std::exception& error) {
    EXPECT_EQ(told(error),
              "error: not positive definite\n  while factorizing\n  while quantizing a\nhint: "
              "raise damping");
    EXPECT_EQ(ptq::exit_code_of(error), 5);
  }
}

TEST(Error, ContextReturnsWhatTheBodyReturns) {
  EXPECT_EQ(ptq::with_context("adding", [] { return 1 + 1; }), 2);
}

TEST(Error, ExitCodesAreTheDocumentedOnes) {
  EXPECT_EQ(ptq::exit_code_of(ptq::ConfigError("")), 2);
  EXPECT_EQ(ptq::exit_code_of(ptq::FormatError("")), 3);
  EXPECT_EQ(ptq::exit_code_of(ptq::UnsupportedError("")), 4);
  EXPECT_EQ(ptq::exit_code_of(ptq::NumericalError("")), 5);
  EXPECT_EQ(ptq::exit_code_of(ptq::GateError("")), 6);
  EXPECT_EQ(ptq::exit_code_of(ptq::ResourceError("")), 7);
  EXPECT_EQ(ptq::exit_code_of(std::bad_alloc()), 7);
  EXPECT_EQ(ptq::exit_code_of(std::runtime_error("DefaultCPUAllocator: can't allocate memory")), 7);
  EXPECT_EQ(ptq::exit_code_of(ptq::InterruptedError("")), 130);
  EXPECT_EQ(ptq::exit_code_of(std::logic_error("")), 1);
}

}  // namespace
