#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::SensitivitySite;

// What the definition says: least ½ d H dᵀ / N over all changes d of a row with d_j = −w_j.
TEST(Obs, IsTheLeastOutputErrorWithTheOtherWeightsAdjusted) {
  const SensitivitySite site;
  constexpr double kDamping = 0.05;
  const auto obs = estimators().make("obs", Json{{"damping", kDamping}});
  const at::Tensor scores = obs->weight_scores(site.view());
  at::Tensor h = site.stats.sum("gram").to(at::kDouble);
  h = h + at::eye(h.size(0), at::kDouble) * (kDamping * h.diagonal().mean().item<double>());
  for (int64_t j = 0; j < h.size(0); ++j) {
    std::vector<int64_t> rest;
    for (int64_t k = 0; k < h.size(0); ++k) {
      if (k != j) rest.push_back(k);
    }
    const at::Tensor others = at::tensor(rest, at::kLong);
    for (int64_t o = 0; o < site.weight.size(0); ++o) {
      const double w = site.weight[o][j].item<double>();
      const at::Tensor coupling = h[j].index_select(0, others);
      const at::Tensor inner = h.index_select(0, others).index_select(1, others);
      const at::Tensor best = at::linalg_solve(inner, coupling) * w;
      at::Tensor change = at::zeros({h.size(0)}, at::kDouble);
      change.index_copy_(0, others, best);
      change[j] = -w;
      const double expected =
          at::dot(change, at::mv(h, change)).item<double>() / 2 / SensitivitySite::kTokens;
      EXPECT_NEAR(scores[o][j].item<double>(), expected, 1e-10 * expected);
    }
  }
  EXPECT_LT(ptq::relative_difference(obs->channel_scores(site.view()), scores.sum(0)), 1e-13);
}

TEST(Obs, IsTheInverseDiagonalForMoreColumnsThanABlock) {
  constexpr int64_t kWide = 300;
  const SensitivitySite site(3, 2, kWide);
  const at::Tensor obs = estimators().make("obs")->channel_scores(site.view());
  at::Tensor h = site.stats.sum("gram").to(at::kDouble);
  h = h + at::eye(kWide, at::kDouble) * (0.01 * h.diagonal().mean().item<double>());
  const at::Tensor expected = site.weight.to(at::kDouble).square().sum(0) /
                              (2 * SensitivitySite::kTokens * at::inverse(h).diagonal());
  EXPECT_LT(ptq::relative_difference(obs, expected), 1e-9);
}

TEST(Obs, NeverExceedsTheErrorWithoutAdjustment) {
  const SensitivitySite site;
  const at::Tensor obs =
      estimators().make("obs", Json{{"damping", 0.0}})->channel_scores(site.view());
  const at::Tensor alone = site.stats.sum("gram").to(at::kDouble).diagonal() *
                           site.weight.to(at::kDouble).square().sum(0) / 2 /
                           SensitivitySite::kTokens;
  EXPECT_GT((alone - obs).min().item<double>(), 0);
}

TEST(Obs, GivesAChannelThatIsAlwaysZeroNoScore) {
  SensitivitySite site;
  site.x.select(2, 4).zero_();
  site.collect();
  const at::Tensor scores = estimators().make("obs")->channel_scores(site.view());
  EXPECT_EQ(scores[4].item<double>(), 0);
  EXPECT_EQ(scores.gt(0).sum().item<int64_t>(), SensitivitySite::kIn - 1);
}

TEST(Obs, NamesTheSiteWhoseGramMatrixHasNoInverse) {
  SensitivitySite site;
  at::Tensor indefinite = site.stats.sum("gram").clone();
  indefinite[1][0] = indefinite[0][1] = 2 * indefinite.max();
  site.put("gram", indefinite);
  try {
    estimators().make("obs")->channel_scores(site.view());
    FAIL() << "no error";
  } catch (const ptq::NumericalError& error) {
    EXPECT_NE(std::string(error.what()).find(site.site().name), std::string::npos);
  }
}

TEST(Obs, MakesNoStatementAboutTheLoss) {
  const SensitivitySite site;
  const auto obs = estimators().make("obs");
  EXPECT_FALSE(obs->predicted(site.view(), site.weight).has_value());
  EXPECT_EQ(obs->statistics(), std::vector<std::string>{"gram"});
}

}  // namespace
