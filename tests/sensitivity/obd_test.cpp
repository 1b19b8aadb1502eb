#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::kFloatRounding;
using ptq::relative_difference;
using ptq::SensitivitySite;

TEST(Obd, IsHalfTheFisherDiagonalTimesTheSquaredWeightOverTargets) {
  const SensitivitySite site;
  for (const char* per : {"sequence", "token"}) {
    const auto obd = estimators().make("obd", Json{{"per", per}});
    const at::Tensor fisher = site.stats.sum(std::string("fisher-") + per).to(at::kDouble);
    const at::Tensor expected =
        fisher * site.weight.to(at::kDouble).square() / 2 / SensitivitySite::kTargets;
    EXPECT_LT(relative_difference(obd->weight_scores(site.view()), expected), 1e-13) << per;
    EXPECT_LT(relative_difference(obd->channel_scores(site.view()), expected.sum(0)), 1e-13);
  }
}

TEST(Obd, ScoreOfAChannelIsItsPredictedLossWhenDeleted) {
  const SensitivitySite site;
  const auto obd = estimators().make("obd");
  at::Tensor deletion = at::zeros_like(site.weight);
  deletion.select(1, 5) -= site.weight.select(1, 5);
  const double predicted = obd->predicted(site.view(), deletion).value();
  EXPECT_GT(predicted, 0);
  EXPECT_NEAR(predicted, obd->channel_scores(site.view())[5].item<double>(), 1e-13 * predicted);
}

// v of a sequence is the gradient of its summed loss; ½(Δ·v)² over targets is exact for one weight.
TEST(Obd, PredictsTheQuadraticFormOfASingleChangedWeightExactly) {
  const SensitivitySite site;
  at::Tensor delta = at::zeros_like(site.weight);
  delta[1][6] = -0.5;
  const at::Tensor v = at::einsum("st,st->s", {site.g.select(2, 1), site.x.select(2, 6)});
  const double expected = (v * 0.5).square().sum().item<double>() / 2 / SensitivitySite::kTargets;
  EXPECT_NEAR(estimators().make("obd")->predicted(site.view(), delta).value(), expected,
              kFloatRounding * expected);
}

}  // namespace
