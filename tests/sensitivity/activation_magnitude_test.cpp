#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::SensitivitySite;

TEST(ActivationMagnitude, IsMeanOfMagnitudesOverTokens) {
  const SensitivitySite site;
  const auto estimator = estimators().make("activation-magnitude");
  EXPECT_EQ(estimator->statistics(), std::vector<std::string>{"mean-magnitude"});
  EXPECT_EQ(estimator->unit(), "mean |x|");
  const at::Tensor expected = site.x.abs().flatten(0, 1).mean(0);
  EXPECT_LT(ptq::relative_difference(estimator->channel_scores(site.view()), expected), 1e-13);
}

TEST(ActivationMagnitude, PredictsNoLossAndHasNoScoresOfWeights) {
  const SensitivitySite site;
  const auto estimator = estimators().make("activation-magnitude");
  EXPECT_FALSE(estimator->predicted(site.view(), site.weight).has_value());
  EXPECT_FALSE(estimator->predicted_by_channel(site.view(), site.weight).defined());
  EXPECT_FALSE(estimator->weight_scores(site.view()).defined());
}

}  // namespace
