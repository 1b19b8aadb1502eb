#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "ptq/io/safetensors.h"
#include "ptq/sensitivity/rounding.h"
#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::SensitivitySite;

TEST(WeightError, IsTheSquaredRoundingErrorOfItsScheme) {
  const SensitivitySite site;
  for (const bool symmetric : {true, false}) {
    const auto error = estimators().make(
        "weight-error", Json{{"bits", 3}, {"group_size", 4}, {"symmetric", symmetric}});
    const at::Tensor delta =
        ptq::RoundingDirection({3, 4, symmetric}).of(site.site(), site.weight).to(at::kDouble);
    EXPECT_LT(ptq::relative_difference(error->channel_scores(site.view()), delta.square().sum(0)),
              1e-13);
    EXPECT_TRUE(at::equal(error->weight_scores(site.view()), delta.square()));
  }
}

TEST(WeightError, KnowsNothingOfDataOrLoss) {
  const SensitivitySite site;
  const auto error = estimators().make("weight-error", Json{{"group_size", 8}});
  EXPECT_TRUE(error->statistics().empty());
  EXPECT_TRUE(error->probes().empty());
  EXPECT_FALSE(error->predicted(site.view(), site.weight).has_value());
}

TEST(WeightError, SharedEqualsTheFloat64ReferenceOfTinyStories) {
  const std::filesystem::path folder =
      std::filesystem::path(PTQ_SOURCE_DIR) / ".." / "shared/data/models/TinyStories-656K";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared data";
  const Json linears =
      Json::parse(std::ifstream(folder / "sensitivity_reference.json")).at("linears");
  const ptq::SafetensorsFile file(folder / "model.safetensors");
  const auto error = estimators().make("weight-error",
                                       Json{{"bits", 4}, {"group_size", 32}, {"symmetric", false}});
  ASSERT_EQ(linears.size(), 14U);
  for (const auto& [name, values] : linears.items()) {
    const at::Tensor weight = file.tensor(name + ".weight").to(at::kFloat);
    const ptq::LinearSite site{name, "", 0, 0, weight.size(0), weight.size(1)};
    const double expected = values.at("rtn_sq_error").get<double>();
    // Displacements round to float32 once: squares to 2⁻²³.
    EXPECT_NEAR(error->channel_scores({site, weight, {}, at::kFloat}).sum().item<double>(),
                expected, 0x1p-23 * expected)
        << name;
  }
}

}  // namespace
