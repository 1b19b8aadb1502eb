#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::SensitivitySite;

TEST(Covariance, IsMeanSquareOverTokens) {
  const SensitivitySite site;
  const auto estimator = estimators().make("covariance");
  EXPECT_EQ(estimator->statistics(), std::vector<std::string>{"mean-square"});
  EXPECT_EQ(estimator->unit(), "mean x²");
  const at::Tensor expected = site.x.square().flatten(0, 1).mean(0);
  EXPECT_LT(ptq::relative_difference(estimator->channel_scores(site.view()), expected), 1e-13);
}

TEST(Covariance, PredictsNoLoss) {
  const SensitivitySite site;
  const auto estimator = estimators().make("covariance");
  EXPECT_FALSE(estimator->predicted(site.view(), site.weight).has_value());
  EXPECT_FALSE(estimator->predicted_by_channel(site.view(), site.weight).defined());
}

TEST(Covariance, RefusesStatisticsOfNoTokens) {
  SensitivitySite site;
  site.stats.set_counts({});
  EXPECT_THROW(estimators().make("covariance")->channel_scores(site.view()), std::logic_error);
}

}  // namespace
