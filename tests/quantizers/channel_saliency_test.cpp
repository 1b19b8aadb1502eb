#include "../src/quantizers/channel_saliency.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "block_fixture.h"
#include "ptq/core/error.h"

namespace ptq::quantizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr QuantScheme kScheme{4, 16, false};
constexpr DataCounts kCounts{4, 96, 92};

/// Statistics of every kind that estimators read of one linear, as of inputs `scale` times as
/// large; with the same gradients whatever the scale.
SiteStats stats_of(const LinearSite& site, double scale) {
  at::manual_seed(17);
  SiteStats stats;
  stats.set_counts(kCounts);
  const auto set = [&](const std::string& name, const at::Tensor& sum) {
    stats.set(name, std::make_shared<Sums>(Sums{{"sum", sum}}));
  };
  const at::Tensor x = at::randn({96, site.in_features}) * scale;
  const at::Tensor g = at::randn({96, site.out_features});
  set("gram", at::matmul(x.t(), x));
  set("mean-magnitude", x.abs().sum(0, false, at::kDouble));
  set("mean-square", x.square().sum(0, false, at::kDouble));
  set("fisher-sequence", at::matmul(g.square().t(), x.square()));
  set("token-energy", at::matmul(x.square().t(), g.square().sum(1)).to(at::kDouble));
  set("sequence-energy", at::matmul(x.square().t(), g.square().sum(1)).to(at::kDouble));
  return stats;
}

/// Saliency of the first stage where statistics of all kinds are as of inputs `scale` times as
/// large.
at::Tensor saliency_at(const ChannelSaliency& saliency, double scale) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  test.stored = [&](const LinearSite& site) { return stats_of(site, scale); };
  const std::vector<SiteStats> stats{stats_of(test.linear(0, 0).site(), scale)};
  const BlockContext context{test.block(), test.states(),         stats,
                             test.plan(),  test.context().stored, test.stored};
  return saliency.of(context, 0);
}

TEST(ChannelSaliency, GoesWithTheSizeOfTheInputWhateverTheEstimatorsDegree) {
  int tried = 0;
  for (const std::string& name : ChannelSaliency::names()) {
    // The two read no input; the groups of weight-error must divide.
    const bool blind = name == "random" || name == "weight-error";
    const Json options = name == "weight-error" ? Json{{"group_size", 16}} : Json::object();
    const ChannelSaliency saliency(name, options);
    const at::Tensor once = saliency_at(saliency, 1), thrice = saliency_at(saliency, 3);
    EXPECT_EQ(once.scalar_type(), at::kDouble) << name;
    EXPECT_TRUE(once.gt(0).all().item<bool>()) << name;
    // 3 and 9 times are rounded in float32, the Gram matrix's inverse in float64 after that.
    EXPECT_TRUE(at::allclose(thrice, once * (blind ? 1 : 3), 1e-4, 0)) << name;
    ++tried;
  }
  EXPECT_EQ(tried, 12);
}

TEST(ChannelSaliency, OfAStatisticIsThatOfTheInputsThemselves) {
  TestBlock test(spread_llama(), *quantizers().make("awq", {{"saliency", "mean-square"}}), kScheme);
  at::Tensor x = test.block().stage_input(0, {test.states(), {}}).to(at::kDouble);
  x = x.reshape({-1, x.size(2)});
  // A product and a sum of 96 terms in float32.
  EXPECT_TRUE(at::allclose(ChannelSaliency("mean-square").of(test.context(), 0),
                           x.square().mean(0).sqrt(), 1e-5, 0));
  TestBlock plain(spread_llama(), *quantizers().make("awq"), kScheme);
  EXPECT_TRUE(at::allclose(ChannelSaliency("mean-magnitude").of(plain.context(), 0),
                           x.abs().mean(0), 1e-5, 0));
}

TEST(ChannelSaliency, IsTheRootOfTheMeanOverTheLinearsOfAStage) {
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  const auto obs = estimators().make("obs");
  at::Tensor sum = at::zeros({test.linear(0, 0).site().in_features}, at::kDouble);
  for (size_t i = 0; i < 3; ++i)
    sum += obs->channel_scores({test.linear(0, i).site(), test.linear(0, i).weight(),
                                test.context().stats[0], at::kFloat});
  EXPECT_TRUE(at::allclose(ChannelSaliency("obs").of(test.context(), 0), (sum / 3).sqrt(), 1e-12));
}

TEST(ChannelSaliency, ReadsStatisticsWithGradientsFromAStoreAndTheOthersOfTheSweep) {
  const ChannelSaliency fisher("fisher"), obs("obs"), blind("weight-error");
  EXPECT_THAT(fisher.stored_statistics(), ElementsAre("fisher-sequence"));
  EXPECT_THAT(fisher.block_statistics(), IsEmpty());
  EXPECT_THAT(obs.block_statistics(), ElementsAre("gram"));
  EXPECT_THAT(obs.stored_statistics(), IsEmpty());
  EXPECT_THAT(blind.block_statistics(), IsEmpty());
  EXPECT_THAT(ChannelSaliency("fisher", {{"per", "token"}}).stored_statistics(),
              ElementsAre("fisher-token"));
  const LinearSite site =
      TestBlock(testing::tiny_llama(), *quantizers().make("awq"), kScheme).linear(0, 0).site();
  // The Fisher diagonal, and two more in float64.
  EXPECT_EQ(fisher.bytes(site), site.out_features * site.in_features * 4 * 5);
  EXPECT_EQ(obs.bytes(site), site.in_features * site.in_features * 4 * 4);
}

TEST(ChannelSaliency, RefusesWhatNoStoreHoldsAndUnknownNames) {
  for (const std::string name : {"pqi", "hessian-trace"}) {
    EXPECT_THAT([&] { ChannelSaliency saliency(name); },
                ::testing::ThrowsMessage<ConfigError>(HasSubstr("gradients at other weights")))
        << name;
    EXPECT_THAT(ChannelSaliency::names(), ::testing::Not(::testing::Contains(name)));
  }
  EXPECT_THAT([] { ChannelSaliency saliency("gram"); },
              ::testing::ThrowsMessage<ConfigError>(HasSubstr("unknown saliency \"gram\"")));
  EXPECT_THROW(ChannelSaliency("obs", {{"damp", 1}}), ConfigError);
  EXPECT_THROW(ChannelSaliency("obs", 0.1), ConfigError);
}

}  // namespace
}  // namespace ptq::quantizer
