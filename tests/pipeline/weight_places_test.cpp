#include "../../src/pipeline/weight_places.h"

#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/allocation_meter.h"

namespace ptq::detail {
namespace {

at::Tensor places(const std::vector<int64_t>& list) {
  return at::tensor(list, at::kLong);
}

TEST(TopWeights, AreTheHighestOfAllLinears) {
  at::manual_seed(3);
  const at::Tensor a = at::randn({7, 11}), b = at::randn({5, 3}), c = at::randn({2, 9});
  for (const int64_t count : {1, 4, 30, 60}) {
    TopWeights top(count);
    top.offer("a", a);
    top.offer("b", b);
    top.offer("c", c);
    const WeightPlaces taken = top.take();
    const at::Tensor all = at::cat({a.view({-1}), b.view({-1}), c.view({-1})});
    const int64_t positive = (all > 0).sum().item<int64_t>();
    const int64_t expected = std::min(count, positive);
    EXPECT_EQ(count_of(taken), expected);
    const float least = std::get<0>(all.sort(0, /*descending=*/true))[expected - 1].item<float>();
    const std::map<std::string, at::Tensor> scores{{"a", a}, {"b", b}, {"c", c}};
    for (const auto& [site, of_site] : scores) {
      const at::Tensor wanted = (of_site.view({-1}) >= least).nonzero().view({-1});
      if (wanted.numel() == 0)
        EXPECT_EQ(taken.count(site), 0U);
      else
        EXPECT_TRUE(taken.at(site).equal(wanted)) << site << " of " << count;
    }
  }
}

// Of equal scores those that were offered first, also where others were sorted out in between.
TEST(TopWeights, EqualScoresAreTakenInTheOrderOfTheOffers) {
  TopWeights top(4);
  for (const char* site : {"a", "b", "c", "d", "e"})
    top.offer(site, at::tensor({1.0F, 1.0F, 1.0F}));
  top.offer("f", at::tensor({1.0F, 2.0F}));
  const WeightPlaces taken = top.take();
  EXPECT_TRUE(taken.at("a").equal(places({0, 1, 2})));
  EXPECT_EQ(taken.count("b"), 0U);
  EXPECT_TRUE(taken.at("f").equal(places({1})));
}

TEST(TopWeights, TakeTheMemoryThatIsTold) {
  at::manual_seed(5);
  const at::Tensor scores = at::rand({200, 300});
  for (const int64_t count : {1000, 40000}) {
    const test::AllocationMeter meter;
    TopWeights top(count);
    for (int i = 0; i < 8; ++i)
      top.offer("linear " + std::to_string(i), scores);
    top.take();
    const int64_t told = TopWeights::bytes(count, scores.numel());
    EXPECT_LE(meter.peak_bytes(), told);
    // More than half of what one linear takes is no tensor, so that the meter does not see it.
    EXPECT_GT(3 * meter.peak_bytes(), told);
  }
}

TEST(TopWeights, OfOneLinearAreAtMostAsManyAsAsked) {
  TopWeights top(10);
  top.offer("a", at::arange(100, 200, at::kFloat), 3);
  top.offer("b", at::arange(1, 101, at::kFloat), 4);
  const WeightPlaces taken = top.take();
  EXPECT_TRUE(taken.at("a").equal(places({97, 98, 99})));
  EXPECT_TRUE(taken.at("b").equal(places({96, 97, 98, 99})));
}

TEST(TopWeights, ThatAreNotPositiveAreNeverTaken) {
  TopWeights top(3);
  top.offer("a", at::tensor({0.0F, -1.0F, 2.0F}));
  EXPECT_TRUE(top.take().at("a").equal(places({2})));
  TopWeights none(3);
  none.offer("a", at::zeros({4}));
  EXPECT_TRUE(none.take().empty());
  EXPECT_TRUE(TopWeights(3).take().empty());
}

TEST(WeightPlaces, OfTwoSetsAreThoseOfEither) {
  const WeightPlaces both = united({{"a", places({1, 5})}, {"b", places({2})}},
                                   {{"a", places({0, 5, 9})}, {"c", places({7})}});
  EXPECT_TRUE(both.at("a").equal(places({0, 1, 5, 9})));
  EXPECT_TRUE(both.at("b").equal(places({2})));
  EXPECT_TRUE(both.at("c").equal(places({7})));
  EXPECT_EQ(count_of(both), 6);
}

TEST(WeightPlaces, HaveADigestOfNamesAndPlaces) {
  const std::string one = digest_of({{"a", places({1, 5})}});
  EXPECT_EQ(one, digest_of({{"a", places({1, 5})}}));
  EXPECT_NE(one, digest_of({{"b", places({1, 5})}}));
  EXPECT_NE(one, digest_of({{"a", places({1, 6})}}));
}

}  // namespace
}  // namespace ptq::detail
