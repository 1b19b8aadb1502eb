#include <gtest/gtest.h>

#include "model/reference.h"

namespace ptq {
namespace {

TEST(OptShared, MatchesReference) {
  testing::check_family("opt");
}

}  // namespace
}  // namespace ptq
