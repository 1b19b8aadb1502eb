#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq {
namespace {

const QuantScheme kScheme{3, -1, true, true};

/// A linear with its Fisher information.
class FisherSite {
 public:
  FisherSite(at::Tensor weight, at::Tensor fisher, const std::string& statistic = "fisher-sequence")
      : weight_(std::move(weight)) {
    site_.name = "model.layers.0.mlp.down_proj";
    site_.out_features = weight_.size(0);
    site_.in_features = weight_.size(1);
    if (fisher.defined())
      stats_.set(statistic, std::make_shared<Sums>(Sums{{"sum", std::move(fisher)}}));
  }
  SiteView view() const { return {site_, weight_, stats_, at::kFloat}; }

 private:
  LinearSite site_;
  at::Tensor weight_;
  SiteStats stats_;
};

QuantizedSite quantize(const at::Tensor& weight, const at::Tensor& fisher,
                       const QuantScheme& scheme = kScheme) {
  const Json options = fisher.defined() ? Json::object() : Json{{"weights", "none"}};
  return quantizers().make("kmeans", options)->quantize(FisherSite(weight, fisher).view(), scheme);
}

/// Σ fisher · (Ŵ − W)² in float64.
double error_of(const QuantizedSite& made, const at::Tensor& weight, const at::Tensor& fisher) {
  const at::Tensor miss = (made.weight.dequantize() - weight).to(at::kDouble);
  return (fisher.to(at::kDouble) * miss.square()).sum().item<double>();
}

TEST(KMeans, NeedsFisherInformationUnlessAllCountTheSame) {
  const auto statistics = [](const Json& options) {
    return quantizers().make("kmeans", options)->statistics();
  };
  EXPECT_THAT(statistics(Json::object()), testing::ElementsAre("fisher-sequence"));
  EXPECT_THAT(statistics({{"per", "token"}}), testing::ElementsAre("fisher-token"));
  EXPECT_THAT(statistics({{"weights", "none"}}), testing::IsEmpty());
  const FisherSite tokens(at::randn({2, 32}), at::rand({2, 32}), "fisher-token");
  EXPECT_NO_THROW(
      quantizers().make("kmeans", {{"per", "token"}})->quantize(tokens.view(), kScheme));
}

TEST(KMeans, EveryCodeIsTheNearestEntry) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({8, 100});
  for (const int bits : {2, 3, 4, 8}) {
    const QuantizedSite made = quantize(weight, at::rand({8, 100}), {bits, -1, true, true});
    const at::Tensor far = (weight.unsqueeze(2) - made.weight.table.unsqueeze(1)).abs();
    EXPECT_TRUE(std::get<0>(far.min(2)).equal((made.weight.dequantize() - weight).abs()));
  }
}

TEST(KMeans, FisherInformationMakesItsOwnErrorLeast) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({16, 256}), fisher = at::exp(2 * at::randn({16, 256}));
  const QuantizedSite with = quantize(weight, fisher), without = quantize(weight, {});
  EXPECT_LT(error_of(with, weight, fisher), 0.8 * error_of(without, weight, fisher));
  const at::Tensor same = at::ones_like(fisher);
  EXPECT_GT(error_of(with, weight, same), error_of(without, weight, same));
}

TEST(KMeans, ReportsTheErrorThatItMakesSmall) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({6, 64}), fisher = at::rand({6, 64});
  const QuantizedSite with = quantize(weight, fisher), without = quantize(weight, {});
  const at::Tensor squares = weight.to(at::kDouble).square(), same = at::ones_like(fisher);
  const double all = (fisher.to(at::kDouble) * squares).sum().item<double>();
  EXPECT_NEAR(with.relative_error, error_of(with, weight, fisher) / all, 1e-9);
  EXPECT_NEAR(without.relative_error,
              error_of(without, weight, same) / squares.sum().item<double>(), 1e-9);
}

TEST(KMeans, ZerosCountNothing) {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({4, 80}) + 8, fisher = at::rand({4, 80});
  at::Tensor holes = weight.clone(), less = fisher.clone();
  holes.slice(1, 0, 80, 5).zero_();
  less.slice(1, 0, 80, 5).zero_();
  // As if their Fisher information were 0, which the weight does not matter for.
  EXPECT_TRUE(quantize(holes, fisher).weight.table.equal(quantize(weight, less).weight.table));
  EXPECT_TRUE(quantize(holes, {}).weight.table.gt(4).all().item<bool>());
}

TEST(KMeans, RowsWithoutFisherInformationCountAllAlike) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({3, 64});
  at::Tensor fisher = at::rand({3, 64});
  fisher[1].zero_();
  const QuantizedSite made = quantize(weight, fisher);
  EXPECT_TRUE(made.weight.table[1].equal(quantize(weight, {}).weight.table[1]));
  EXPECT_FALSE(made.weight.table[0].equal(quantize(weight, {}).weight.table[0]));
  EXPECT_EQ(made.details.at("rows_without_fisher"), 1);
  EXPECT_FALSE(quantize(weight, at::rand({3, 64})).details.contains("rows_without_fisher"));
  const QuantizedSite blind = quantize(weight, at::zeros({3, 64}));
  EXPECT_GT(blind.relative_error, 0);
  EXPECT_EQ(blind.relative_error, quantize(weight, {}).relative_error);
  const QuantizedSite nothing = quantize(at::zeros({2, 16}), at::rand({2, 16}));
  EXPECT_TRUE(nothing.weight.dequantize().eq(0).all().item<bool>());
  EXPECT_EQ(nothing.relative_error, 0);
}

TEST(KMeans, FewValuesRepeatTheLast) {
  const at::Tensor weight = at::tensor({1.0f, -2.0f, 1.0f, 0.5f, -2.0f, 1.0f}).view({1, 6});
  const QuantizedTensor made = quantize(weight, {}).weight;
  EXPECT_TRUE(
      made.table.equal(at::tensor({-2.0f, 0.5f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f}).view({1, 8})));
  EXPECT_TRUE(made.q.equal(at::tensor({2, 0, 2, 1, 0, 2}, at::kByte).view({1, 6})));
}

TEST(KMeans, BytesDoNotDependOnThreads) {
  at::manual_seed(6);
  const at::Tensor weight = at::randn({64, 128}), fisher = at::rand({64, 128});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const QuantizedSite one = quantize(weight, fisher);
  at::set_num_threads(3);
  const QuantizedSite three = quantize(weight, fisher);
  at::set_num_threads(before);
  EXPECT_TRUE(one.weight.q.equal(three.weight.q));
  EXPECT_TRUE(one.weight.table.equal(three.weight.table));
  EXPECT_EQ(one.relative_error, three.relative_error);
}

TEST(KMeans, RefusesGridsAndWhatIsNotFinite) {
  const auto kmeans = quantizers().make("kmeans");
  const at::Tensor weight = at::randn({4, 32}), fisher = at::rand({4, 32});
  EXPECT_TRUE(kmeans->unsupported({4, 32, true}).has_value());
  EXPECT_FALSE(kmeans->unsupported(kScheme).has_value());
  EXPECT_THROW(quantize(weight, fisher, {4, -1, true}), UnsupportedError);
  EXPECT_THROW(quantizers().make("kmeans", {{"weights", "hessian"}}), ConfigError);
  for (const float bad : {NAN, INFINITY}) {
    at::Tensor spoiled = weight.clone();
    spoiled[2][3] = bad;
    EXPECT_THROW(quantize(spoiled, fisher), NumericalError);
    spoiled = fisher.clone();
    spoiled[2][3] = bad;
    EXPECT_THROW(quantize(weight, spoiled), NumericalError);
  }
  EXPECT_THROW(quantize(weight, -fisher), NumericalError);
  EXPECT_THROW(quantize(weight * 1e6, fisher), NumericalError);
}

TEST(KMeans, OthersMakeNoTables) {
  for (const std::string& name : quantizers().names())
    EXPECT_EQ(quantizers().make(name)->unsupported(kScheme).has_value(), name != "kmeans") << name;
}

}  // namespace
}  // namespace ptq
