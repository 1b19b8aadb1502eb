#include <gtest/gtest.h>

#include "ptq/sensitivity/rounding.h"
#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::relative_difference;
using ptq::SensitivitySite;

/// A loss Σ_i c_i w_i⁴ / 4 + (Σ_i w_i)² / 2 per target: its gradient along a line is a cubic.
struct QuarticLoss {
  at::Tensor c;  ///< float64 [out, in]
  double value(const at::Tensor& w) const {
    return (c * w.pow(4)).sum().item<double>() / 4 + w.sum().square().item<double>() / 2;
  }
  at::Tensor gradient(const at::Tensor& w) const { return c * w.pow(3) + w.sum(); }
};

struct Case {
  SensitivitySite site;
  QuarticLoss loss{at::randn(site.weight.sizes(), at::kDouble)};
  at::Tensor w = site.weight.to(at::kDouble);

  /// What a sweep finds for the probe of an estimator; its displacement [out, in].
  at::Tensor collect(const ptq::SensitivityEstimator& estimator) {
    const ptq::GradientProbe probe = estimator.probes().at(0);
    const at::Tensor way = probe.direction->of(site.site(), site.weight);
    at::Tensor sum = at::zeros_like(w);
    for (const auto& node : probe.nodes)
      sum += loss.gradient(w + way.to(at::kDouble) * node.at) *
             (node.coefficient * SensitivitySite::kTargets);
    site.put(probe.name, sum.to(at::kFloat), "gradient");
    return way;
  }
};

Json options(const Json& more = Json::object()) {
  Json json = {{"bits", 3}, {"group_size", 4}, {"symmetric", false}};
  json.update(more);
  return json;
}

TEST(Pqi, SignedScoresAddUpToTheChangeOfTheLoss) {
  Case test;
  const auto pqi = estimators().make("pqi", options({{"nodes", 2}, {"score", "signed"}}));
  const at::Tensor way = test.collect(*pqi);
  const double change = test.loss.value(test.w + way) - test.loss.value(test.w);
  const at::Tensor weights = pqi->weight_scores(test.site.view());
  // The gradients were rounded to float32.
  const double rounding = 0x1p-24 * weights.abs().sum().item<double>();
  EXPECT_GT(std::abs(change), 1e3 * rounding);
  EXPECT_NEAR(weights.sum().item<double>(), change, rounding);
  EXPECT_NEAR(pqi->channel_scores(test.site.view()).sum().item<double>(), change, rounding);
  EXPECT_NEAR(pqi->predicted(test.site.view(), way).value(), change, rounding);
}

TEST(Pqi, AbsoluteScoresAreMagnitudesWeightByWeight) {
  Case test;
  const auto absolute = estimators().make("pqi", options());
  const auto plain = estimators().make("pqi", options({{"score", "signed"}}));
  EXPECT_NE(absolute->unit(), plain->unit());
  const at::Tensor way = test.collect(*absolute);
  const at::Tensor parts = plain->weight_scores(test.site.view());
  EXPECT_LT(parts.min().item<double>(), 0);
  EXPECT_TRUE(at::equal(absolute->weight_scores(test.site.view()), parts.abs()));
  EXPECT_LT(relative_difference(absolute->channel_scores(test.site.view()), parts.abs().sum(0)),
            1e-13);
  EXPECT_EQ(absolute->predicted(test.site.view(), way), plain->predicted(test.site.view(), way));
}

TEST(Pqi, PredictsForItsOwnEndPointOnly) {
  Case test;
  const auto pqi = estimators().make("pqi", options());
  const at::Tensor way = test.collect(*pqi);
  const ptq::SiteView view = test.site.view();
  EXPECT_TRUE(pqi->predicted_by_channel(view, way).defined());
  // As a caller gets it who has the rounded weight in float32.
  const at::Tensor rounded = (test.site.weight + way) - test.site.weight;
  EXPECT_TRUE(pqi->predicted(view, rounded).has_value());
  for (const at::Tensor& other : {way * 0.5F, at::zeros_like(way), -way}) {
    EXPECT_FALSE(pqi->predicted(view, other).has_value());
    EXPECT_FALSE(pqi->predicted_by_channel(view, other).defined());
  }
}

TEST(Pqi, RulesConvergeToTheSameIntegral) {
  Case test;
  const auto total = [&](const char* rule, int nodes) {
    const auto pqi =
        estimators().make("pqi", options({{"rule", rule}, {"nodes", nodes}, {"score", "signed"}}));
    test.collect(*pqi);
    return pqi->channel_scores(test.site.view()).sum().item<double>();
  };
  const double exact = total("gauss", 2);
  const double coarse = std::abs(total("trapezoid", 2) - exact);
  const double fine = std::abs(total("trapezoid", 5) - exact);
  const auto pqi = estimators().make("pqi", options());
  test.collect(*pqi);
  const double rounding = 0x1p-24 * pqi->channel_scores(test.site.view()).sum().item<double>();
  // Second order: a quarter of the step.  Each of the four integrals rounds its gradients.
  EXPECT_NEAR(coarse, 16 * fine, 34 * rounding);
  EXPECT_GT(fine, 34 * rounding / 16);
  const double mean_coarse = std::abs(total("mean", 8) - exact);
  const double mean_fine = std::abs(total("mean", 32) - exact);
  EXPECT_NEAR(mean_coarse / mean_fine, 4, 1);  // first order
}

TEST(Pqi, ProbesOfUnlikeSettingsHaveUnlikeNames) {
  std::vector<std::string> names;
  for (const Json& more : {Json{{"nodes", 3}}, Json{{"nodes", 4}}, Json{{"rule", "mean"}},
                           Json{{"bits", 4}}, Json{{"group_size", 8}}, Json{{"symmetric", true}}})
    names.push_back(estimators().make("pqi", options(more))->probes().at(0).name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

TEST(Pqi, RefusesARuleWithoutEnoughNodesAndAnImpossibleScheme) {
  EXPECT_THROW(estimators().make("pqi", Json{{"rule", "trapezoid"}, {"nodes", 1}}),
               ptq::ConfigError);
  EXPECT_THROW(estimators().make("pqi", Json{{"group_size", 0}}), ptq::ConfigError);
  EXPECT_THROW(estimators().make("pqi", Json{{"bits", 9}}), ptq::ConfigError);
}

}  // namespace
