#include "../../../src/pipeline/requant/weight_ranking.h"

#include <cmath>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq::detail {
namespace {

struct Case {
  LinearSite site{"a", "a.input", 0, 0, 5, 7};
  at::Tensor weight = at::randn({5, 7}), change = at::randn({5, 7}) / 8,
             gradient = at::randn({5, 7}), fisher = at::rand({5, 7});
  SiteStats stats;

  Case() { stats.set("fisher-token", std::make_shared<Sums>(Sums{{"sum", fisher}})); }

  at::Tensor scores(const std::string& name, uint64_t seed = 0) const {
    const SiteView view{site, weight, stats, at::kFloat};
    return weight_ranking(name, 4).score({view, change, gradient}, seed);
  }
};

TEST(WeightRanking, IsWhatItsNameSays) {
  at::manual_seed(5);
  const Case test;
  const at::Tensor product = test.change * test.gradient;
  for (const char* name : {"pqi", "endpoint"})
    EXPECT_TRUE(test.scores(name).equal(product.abs()));
  for (const char* name : {"pqi-signed", "endpoint-signed"})
    EXPECT_TRUE(test.scores(name).equal(product));
  EXPECT_TRUE(test.scores("fisher").equal(test.fisher));
  EXPECT_TRUE(test.scores("fisher-error").equal(test.fisher * test.change.square()));
  EXPECT_TRUE(test.scores("magnitude").equal(test.weight.abs()));
}

TEST(WeightRanking, LeavesStatisticsAsTheyAre) {
  const Case test;
  const at::Tensor before = test.fisher.clone();
  test.scores("fisher").zero_();
  EXPECT_TRUE(test.fisher.equal(before));
}

TEST(WeightRanking, AtRandomDependsOnNameAndSeedAlone) {
  Case test;
  const at::Tensor first = test.scores("random", 1);
  EXPECT_TRUE(first.equal(test.scores("random", 1)));
  EXPECT_FALSE(first.equal(test.scores("random", 2)));
  EXPECT_TRUE((first > 0).all().item<bool>());
  test.site.name = "b";
  EXPECT_FALSE(first.equal(test.scores("random", 1)));
}

TEST(WeightRanking, IntegratesOnTheWayOrLooksAtItsEnd) {
  for (const std::string& name : weight_ranking_names()) {
    const WeightRanking ranking = weight_ranking(name, 3);
    double sum = 0, first_moment = 0;
    for (const GradientProbe::Node& node : ranking.nodes) {
      sum += node.coefficient;
      first_moment += node.coefficient * node.at;
    }
    if (name.rfind("pqi", 0) == 0) {
      EXPECT_EQ(ranking.nodes.size(), 3U);
      // The coefficients come from an iteration that ends within a few roundings.
      EXPECT_NEAR(sum, 1, 1e-14);
      EXPECT_NEAR(first_moment, 0.5, 1e-14);
    } else if (name.rfind("endpoint", 0) == 0) {
      EXPECT_EQ(sum, 1);
      EXPECT_EQ(first_moment, 1);
    } else {
      EXPECT_TRUE(ranking.nodes.empty());
    }
    EXPECT_EQ(ranking.statistics.size(), name.rfind("fisher", 0) == 0 ? 1U : 0U);
  }
}

TEST(WeightRanking, OfAnUnknownNameIsAFault) {
  EXPECT_THROW(weight_ranking("none", 4), std::logic_error);
}

}  // namespace
}  // namespace ptq::detail
