#include "ptq/calib/collector.h"

#include <limits>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "statistics/batch.h"

namespace {

using ptq::Collector;
using ptq::LinearSite;
using ptq::SiteBatch;
using ptq::SiteStats;
using ptq::StatisticSet;
using testing::ElementsAre;
using testing::HasSubstr;

/// Two linears that read one input.
struct Pair {
  Pair() {
    at::manual_seed(7);
    batch = ptq::test::random_batch(2, 5, 4, 6);
    other_g = at::randn({2, 5, 3});
    first = ptq::test::site_of(batch);
    second = first;
    second.name = "model.layers.1.mlp.gate_proj";
    second.out_features = 3;
  }
  SiteBatch batch;
  at::Tensor other_g;
  LinearSite first, second;
};

TEST(Collector, SumsAnInputOnceForTheLinearsThatReadIt) {
  const Pair pair;
  const StatisticSet statistics({"gram", "pooled-gradient"});
  Collector collector(statistics);
  for (int repeat = 0; repeat < 2; ++repeat) {
    collector.add(pair.first, pair.batch);
    collector.add(pair.second, {pair.batch.x, pair.other_g});
  }
  collector.finish();
  const SiteStats first = collector.stats(pair.first), second = collector.stats(pair.second);
  const at::Tensor once =
      ptq::test::collected("gram", {{pair.batch.x, {}}, {pair.batch.x, {}}}).sum("gram");
  EXPECT_TRUE(first.sum("gram").equal(once));
  EXPECT_TRUE(first.sum("gram").is_same(second.sum("gram")));
  EXPECT_EQ(first.sum("pooled-gradient").size(0), 4);
  EXPECT_EQ(second.sum("pooled-gradient").size(0), 3);
  for (const SiteStats& stats : {first, second}) {
    EXPECT_EQ(stats.counts().sequences, 4);
    EXPECT_EQ(stats.counts().tokens, 20);
    EXPECT_EQ(stats.counts().targets, 16);
  }
  collector.clear();
  EXPECT_THROW(collector.stats(pair.first), std::logic_error);
}

TEST(Collector, LinearsOfAnInputShareWhatIsDerivedFromIt) {
  const Pair pair;
  const StatisticSet statistics({"gram"});
  Collector collector(statistics);
  collector.add(pair.first, {pair.batch.x, {}});
  collector.finish();
  int made = 0;
  const auto make = [&] { return ++made; };
  EXPECT_EQ(collector.stats(pair.first).derived<int>("key", make), 1);
  EXPECT_EQ(collector.stats(pair.second).derived<int>("key", make), 1);
  EXPECT_EQ(collector.stats(pair.second).derived<int>("other", make), 2);
  SiteStats changed = collector.stats(pair.first);
  changed.set("gram", std::make_shared<ptq::Sums>());
  EXPECT_EQ(changed.derived<int>("key", make), 3);
}

TEST(Collector, NeedsGradientsWhereAStatisticDoes) {
  const Pair pair;
  const StatisticSet statistics({"gram", "token-energy"});
  EXPECT_TRUE(statistics.needs_gradients());
  EXPECT_FALSE(StatisticSet({"gram"}).needs_gradients());
  Collector collector(statistics);
  EXPECT_THROW(collector.add(pair.first, {pair.batch.x, {}}), std::logic_error);
  collector.add(pair.first, pair.batch);
  EXPECT_THROW(collector.stats(pair.second), std::logic_error);
}

TEST(Collector, NeedsTheReferenceWhereAStatisticDoes) {
  const Pair pair;
  const StatisticSet statistics({"gram", "cross-gram"});
  EXPECT_TRUE(statistics.needs_reference());
  EXPECT_FALSE(StatisticSet({"gram"}).needs_reference());
  Collector collector(statistics);
  EXPECT_THROW(collector.add(pair.first, {pair.batch.x, {}}), std::logic_error);
  collector.add(pair.first, {pair.batch.x, {}, pair.batch.reference});
}

TEST(EveryStatistic, OfDisjointDataMergesByAddition) {
  at::manual_seed(8);
  const SiteBatch batch = ptq::test::random_batch(6, 5, 4, 6);
  for (const std::string& name : ptq::statistics().names()) {
    const SiteStats whole = ptq::test::collected(name, {batch});
    const SiteStats some = ptq::test::collected(name, {ptq::test::sequences_of(batch, 0, 2)});
    const SiteStats rest = ptq::test::collected(name, {ptq::test::sequences_of(batch, 2, 4)});
    for (const auto& [sum, tensor] : *whole.all().at(name)) {
      EXPECT_GT(tensor.abs().max().item<double>(), 0) << name << " " << sum;
      // 30 terms of one size, rounded in another order.
      EXPECT_TRUE(at::allclose(
          tensor, some.sum(name, sum) + rest.sum(name, sum),
          64 * std::numeric_limits<float>::epsilon(),
          64 * std::numeric_limits<float>::epsilon() * tensor.abs().max().item<double>()))
          << name << " " << sum;
    }
  }
}

TEST(EveryStatistic, WithoutGradientsDependsOnTheInputOnly) {
  for (const std::string& name : ptq::statistics().names()) {
    const auto statistic = ptq::statistics().make(name);
    if (statistic->needs_gradients()) continue;
    const auto one = statistic->layout(3, 6), other = statistic->layout(5, 6);
    ASSERT_EQ(one.size(), other.size()) << name;
    for (size_t i = 0; i < one.size(); ++i)
      EXPECT_EQ(one[i].shape, other[i].shape) << name;
    EXPECT_NO_THROW(ptq::test::collected(name, {{at::ones({2, 3, 6}), {}, at::ones({2, 3, 6})}}))
        << name;
  }
}

TEST(StatisticSet, TellsItsOptionsAndBytes) {
  const Pair pair;
  const StatisticSet statistics({"weighted-gram", "mean-square"},
                                {{"weighted-gram", {{"groups", 2}}}});
  EXPECT_THAT(statistics.names(), ElementsAre("mean-square", "weighted-gram"));
  EXPECT_EQ(statistics.options(),
            ptq::Json::parse(R"({"mean-square": {}, "weighted-gram": {"groups": 2}})"));
  EXPECT_EQ(StatisticSet({"weighted-gram"}).options().at("weighted-gram").at("groups"), 1);
  const int64_t shared = 6 * 8, own = 2 * 6 * 6 * 4;
  EXPECT_EQ(statistics.bytes({pair.first}), shared + own);
  EXPECT_EQ(statistics.bytes({pair.first, pair.second}), shared + 2 * own);
  EXPECT_EQ(statistics.bytes({pair.first, pair.second}, "mean-square"), shared);
  EXPECT_EQ(statistics.bytes({pair.first, pair.second}, "weighted-gram"), 2 * own);
  EXPECT_TRUE(StatisticSet().empty());
}

TEST(StatisticSet, RefusesUnknownNamesAndOptions) {
  EXPECT_THROW(StatisticSet({"grams"}), ptq::ConfigError);
  EXPECT_THROW(StatisticSet({"gram"}, {{"gram", {{"groups", 2}}}}), ptq::ConfigError);
  EXPECT_THROW(StatisticSet({"weighted-gram"}, {{"weighted-gram", {{"groups", 0}}}}),
               ptq::ConfigError);
}

TEST(SiteStats, MovesAndIsItselfWhereItLies) {
  SiteStats stats;
  stats.set("gram", std::make_shared<ptq::Sums>(ptq::Sums{{"sum", at::eye(2)}}));
  stats.set_counts({3, 12, 9});
  stats.derived<int>("kept", [] { return 5; });
  const SiteStats same = stats.to(at::kCPU);
  EXPECT_TRUE(same.sum("gram").is_same(stats.sum("gram")));
  EXPECT_EQ(same.derived<int>("kept", [] { return 6; }), 5);
  const SiteStats moved = stats.to(at::Device(at::kMeta));
  EXPECT_TRUE(moved.sum("gram").is_meta());
  EXPECT_EQ(moved.counts().tokens, 12);
  EXPECT_EQ(moved.derived<int>("kept", [] { return 6; }), 6);
}

TEST(SiteStats, RefusesWhatWasNotCollected) {
  const Pair pair;
  const SiteStats stats = ptq::test::collected("gram", {{pair.batch.x, {}}});
  EXPECT_TRUE(stats.has("gram"));
  EXPECT_FALSE(stats.has("mean-square"));
  EXPECT_THROW(stats.sum("mean-square"), std::logic_error);
  EXPECT_THROW(stats.sum("gram", "diagonal"), std::logic_error);
}

TEST(RequireFinite, NamesBlockLinearAndWindow) {
  const Pair pair;
  EXPECT_NO_THROW(ptq::require_finite(pair.first, pair.batch, 8));
  // The sum of finite values may overflow.
  EXPECT_NO_THROW(ptq::require_finite(pair.first, {at::full({1, 4, 6}, 3e38F), {}}, 8));
  const float bad[] = {std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN()};
  for (const float value : bad) {
    SiteBatch batch{pair.batch.x, pair.batch.g.clone()};
    batch.g[1][3][2] = value;
    try {
      ptq::require_finite(pair.first, batch, 8);
      FAIL();
    } catch (const ptq::NumericalError& error) {
      EXPECT_THAT(error.what(), HasSubstr("output gradient of model.layers.1.mlp.up_proj"));
      EXPECT_THAT(error.what(), HasSubstr("block 1, window 9, token 3, channel 2"));
    }
  }
}

}  // namespace
