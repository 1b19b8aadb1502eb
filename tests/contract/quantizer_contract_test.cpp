#include "contract/quantizer_contract.h"

#include <memory>
#include <string>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ptq {
namespace {

TEST(QuantizerContract, EveryRegisteredQuantizerKeepsIt) {
  for (const std::string& name : quantizers().names())
    EXPECT_THAT(broken_promises(*quantizers().make(name)), testing::IsEmpty()) << name;
}

TEST(QuantizerContract, GptqKeepsItWithItsOptions) {
  for (const Json& options : {Json{{"refit", true}}, Json{{"descent", 2}},
                              Json{{"target", "full-precision"}}, Json{{"order", "group-aware"}},
                              Json{{"refit", true}, {"descent", 1}}, Json{{"magr", 0.01}}})
    EXPECT_THAT(broken_promises(*quantizers().make("gptq", options)), testing::IsEmpty())
        << options;
}

TEST(QuantizerContract, KMeansKeepsItWithoutFisherInformation) {
  EXPECT_THAT(broken_promises(*quantizers().make("kmeans", {{"weights", "none"}})),
              testing::IsEmpty());
}

/// Wrong in every way the contract looks for.
class Broken : public Quantizer {
 public:
  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    const QuantScheme other{2, -1, true};
    QuantizedSite result = quantizers().make("rtn")->quantize(site, other);
    result.weight.scheme = {scheme.bits, scheme.group_size, !scheme.symmetric};
    result.weight.scale.mul_(1.0 + 1e-3 * static_cast<double>(++calls_));
    result.weight.scale[0][0] = std::nanf("");
    result.relative_error = -1;
    result.fallbacks.push_back("none");
    site.weight.select(1, 0).add_(1.0);
    return result;
  }

 private:
  mutable int calls_ = 0;
};

TEST(QuantizerContract, FindsABrokenOne) {
  const auto broken = broken_promises(Broken());
  for (const char* promise : {"check() passes", "same bytes", "left alone", "the one asked for",
                              "is a number", "what files hold", "no worse than",
                              "comes back exactly", "no NaN", "no fallback", "is refused"})
    EXPECT_THAT(broken, testing::Contains(testing::HasSubstr(promise))) << promise;
}

}  // namespace
}  // namespace ptq
