#include <gtest/gtest.h>

#include "model/reference.h"

namespace ptq {
namespace {

TEST(Qwen3Shared, MatchesReference) {
  testing::check_family("qwen3");
}

}  // namespace
}  // namespace ptq
