#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::SensitivitySite;

TEST(Random, DependsOnTheSitesNameAndTheSeedOnly) {
  const SensitivitySite one(1), two(2);
  const auto random = estimators().make("random");
  const at::Tensor scores = random->channel_scores(one.view());
  EXPECT_TRUE(at::equal(scores, random->channel_scores(two.view())));
  EXPECT_FALSE(at::equal(
      scores, estimators().make("random", Json{{"seed", 1}})->channel_scores(one.view())));
  ptq::LinearSite elsewhere = one.site();
  elsewhere.name += "x";
  const ptq::SiteView view{elsewhere, one.weight, one.stats, at::kFloat};
  EXPECT_FALSE(at::equal(scores, random->channel_scores(view)));
  EXPECT_FALSE(random->predicted(one.view(), one.weight).has_value());
}

TEST(Random, GivesTheChannelsOfALinearOneNumberIfAsked) {
  const SensitivitySite one(1);
  const at::Tensor scores =
      estimators().make("random", Json{{"per", "linear"}})->channel_scores(one.view());
  EXPECT_TRUE(at::equal(scores, at::full_like(scores, scores[0].item<double>())));
  EXPECT_EQ(scores[0].item<double>(),
            estimators().make("random")->channel_scores(one.view())[0].item<double>());
  EXPECT_FALSE(at::equal(scores, estimators()
                                     .make("random", Json{{"per", "linear"}, {"seed", 1}})
                                     ->channel_scores(one.view())));
}

TEST(Random, IsUniform) {
  constexpr int64_t kMany = 1024;
  const SensitivitySite site(1, 1, kMany);
  const at::Tensor scores = estimators().make("random")->channel_scores(site.view());
  EXPECT_GE(scores.min().item<double>(), 0);
  EXPECT_LT(scores.max().item<double>(), 1);
  // Four standard errors of 1/sqrt(12 n).
  EXPECT_NEAR(scores.mean().item<double>(), 0.5, 4 / std::sqrt(12.0 * kMany));
  EXPECT_NEAR(scores.var().item<double>(), 1.0 / 12, 0.015);
}

}  // namespace
