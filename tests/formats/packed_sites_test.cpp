#include "packed_sites.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// Takes every shape, and refuses the values with `E`.
template <class E>
class Refusing : public GemmBackend {
 public:
  std::optional<std::string> unsupported(const WeightShape& /*weight*/) const override {
    return std::nullopt;
  }
  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& /*weight*/,
                                     const SparseWeight* /*sparse*/) const override {
    ++asked;
    throw E("these values are refused");
  }
  int priority() const override { return 30; }
  mutable int asked = 0;
};

class PackedSitesTest : public testing::Test {
 protected:
  PackedSites sites_on(std::vector<NamedBackend> backends) const {
    const std::shared_ptr<CheckpointFormat> layout = formats().make("gptq_v2");
    const QuantizedTensor weight = random_weight({4, 16, true}, 32, 32);
    const auto source = std::make_shared<DequantizedSource>(
        std::make_shared<MapSource>(layout->pack(site_, weight, at::kFloat)), layout,
        QuantPlan{{"x.a", weight.scheme}}, std::vector<LinearSite>{site_});
    return {source, {{"x.a", std::move(backends)}}};
  }

  LinearSite site_ = make_site("x.a", 32, 32);
  NamedBackend cpu_{"cpu", backends().make("cpu")};
};

TEST_F(PackedSitesTest, TheNextBackendTakesWhatOneRefusesAndIsReported) {
  const auto values = std::make_shared<Refusing<UnsupportedError>>();
  const auto memory = std::make_shared<Refusing<ResourceError>>();
  const PackedSites sites = sites_on({{"values", values}, {"memory", memory}, cpu_});
  EXPECT_EQ(sites.backend_of().at("x.a"), "values");
  EXPECT_NE(sites.pack(site_), nullptr);
  EXPECT_EQ(sites.backend_of().at("x.a"), "cpu");
  EXPECT_NE(sites.pack(site_), nullptr);
  EXPECT_EQ(values->asked, 1) << "a weight is refused once";
  EXPECT_THAT(sites.refusals().at("x.a"),
              ElementsAre("values: these values are refused", "memory: these values are refused"));
  EXPECT_EQ(sites.pack(make_site("x.b", 32, 32)), nullptr);
}

TEST_F(PackedSitesTest, TheLastRefusalNamesTheSite) {
  const PackedSites sites = sites_on({{"values", std::make_shared<Refusing<UnsupportedError>>()}});
  try {
    sites.pack(site_);
    FAIL() << "packed";
  } catch (const std::exception& error) {
    EXPECT_EQ(exit_code_of(error), UnsupportedError("").exit_code());
    EXPECT_THAT(describe(error), HasSubstr("while packing x.a"));
    EXPECT_THAT(describe(error), HasSubstr("these values are refused"));
  }
}

TEST_F(PackedSitesTest, WhatIsWrongWithTheWeightIsNotTriedElsewhere) {
  const PackedSites sites = sites_on({{"wrong", std::make_shared<Refusing<FormatError>>()}, cpu_});
  EXPECT_ANY_THROW(sites.pack(site_));
  EXPECT_EQ(sites.backend_of().at("x.a"), "wrong");
}

}  // namespace
}  // namespace ptq
