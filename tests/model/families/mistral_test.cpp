#include <gtest/gtest.h>

#include "model/reference.h"

namespace ptq {
namespace {

TEST(MistralShared, MatchesReference) {
  testing::check_family("mistral-window");
}

}  // namespace
}  // namespace ptq
