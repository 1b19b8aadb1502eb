#include "tensor_checks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

TEST(TensorChecks, SayWhatIsWrongWithWhichTensor) {
  const MapSource source({{"a.scales", at::ones({2, 3}, at::kHalf)}});
  try {
    read_tensor(source, "a.scales", at::kInt, {2, 3});
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(), "a.scales has the dtype Half, not Int");
  }
  try {
    read_scales(source, "a.scales", {3, 2});
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(), "a.scales has the shape [2, 3], not [3, 2]");
  }
}

TEST(TensorChecks, ExactScalesThrowOnRounding) {
  EXPECT_NO_THROW(exact_scales(at::tensor({0.5f}), at::kHalf));
  EXPECT_THROW(exact_scales(at::tensor({0.1f}), at::kHalf), std::logic_error);
  EXPECT_NO_THROW(exact_scales(at::tensor({0.1f}), at::kFloat));
}

TEST(TensorChecks, KnownLayersAreTheSites) {
  const MapSource source({{"a.qweight", at::ones({1})}, {"lm_head.weight", at::ones({1})}});
  EXPECT_NO_THROW(require_known_layers(source, {make_site("a", 1, 1)}, ".qweight"));
  EXPECT_THROW(require_known_layers(source, {make_site("b", 1, 1)}, ".qweight"), UnsupportedError);
}

}  // namespace
}  // namespace ptq
