#include "ptq/core/error.h"

#include <cerrno>
#include <filesystem>
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
  const auto of_file = [](std::errc fault) {
    return ptq::exit_code_of(
        std::filesystem::filesystem_error("cannot rename", std::make_error_code(fault)));
  };
  for (const int full : {ENOSPC, EDQUOT, EFBIG, EIO, ENOMEM})
    EXPECT_EQ(ptq::exit_code_of(std::filesystem::filesystem_error(
                  "cannot rename", std::error_code(full, std::system_category()))),
              7);
  EXPECT_EQ(of_file(std::errc::permission_denied), 2);
}

TEST(Error, WhatLiesInTheInputWouldComeAgain) {
  const auto again = [](const auto& error) {
    try {
      ptq::with_context("reading", [&] { throw error; });
    } catch (const std::exception& nested) {
      EXPECT_EQ(ptq::would_come_again(nested), ptq::would_come_again(error));
    }
    return ptq::would_come_again(error);
  };
  EXPECT_TRUE(again(ptq::FormatError("")));
  EXPECT_TRUE(again(ptq::UnsupportedError("")));
  EXPECT_TRUE(again(ptq::NumericalError("")));
  EXPECT_FALSE(again(ptq::ConfigError("")));
  EXPECT_FALSE(again(ptq::ResourceError("")));
  EXPECT_FALSE(again(ptq::InterruptedError("")));
  EXPECT_FALSE(again(std::bad_alloc()));
  EXPECT_FALSE(again(std::runtime_error("")));
}

}  // namespace
