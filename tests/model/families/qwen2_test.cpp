#include <gtest/gtest.h>

#include "model/reference.h"

namespace ptq {
namespace {

TEST(Qwen2Shared, MatchesReference) {
  testing::check_family("qwen2");
}

}  // namespace
}  // namespace ptq
