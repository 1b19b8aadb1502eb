#include "../../src/pipeline/scheme_costs.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/sensitivity/rounding.h"

namespace {

using ptq::LinearSite;
using ptq::QuantScheme;
using ptq::SiteView;
using ptq::detail::EstimatorSet;
using ptq::detail::SchemeCosts;
using ptq::detail::SchemeTrial;

/// Says what it is told to say.
class Told : public ptq::SensitivityEstimator {
 public:
  bool whole = false, by_channel = false;
  double most_whole = INFINITY;  ///< squared errors above it are not predicted
  double factor = 1;
  std::vector<ptq::GradientProbe> gradients;

  std::vector<ptq::GradientProbe> probes() const override { return gradients; }
  std::string unit() const override { return "told"; }
  at::Tensor channel_scores(const SiteView& site) const override {
    return at::arange(1, site.weight.size(1) + 1, at::kDouble);
  }
  at::Tensor predicted_by_channel(const SiteView&, const at::Tensor& delta) const override {
    if (!by_channel) return {};
    return delta.to(at::kDouble).square().sum(0) * 10;
  }
  std::optional<double> predicted(const SiteView&, const at::Tensor& delta) const override {
    const double error = delta.to(at::kDouble).square().sum().item<double>();
    if (!whole || error > most_whole) return std::nullopt;
    return 100 * factor * error;
  }
};

/// A linear of random weights and an estimator by that name.
class SchemeCostsTest : public testing::Test {
 protected:
  SchemeCostsTest() {
    at::manual_seed(1);
    weight_ = at::randn({6, 16});
    site_.name = "model.layers.0.q";
    site_.out_features = 6;
    site_.in_features = 16;
    entry_.name = entry_.label = "told";
    auto told = std::make_unique<Told>();
    told_ = told.get();
    entry_.estimator = std::move(told);
  }

  std::vector<double> costs() {
    return SchemeCosts(entry_, rounding_).of({site_, weight_, stats_, at::kFloat}, schemes_);
  }
  at::Tensor squared_error(const QuantScheme& scheme) const {
    return ptq::RoundingDirection(scheme).of(site_, weight_).to(at::kDouble).square().sum(0);
  }

  at::Tensor weight_;
  LinearSite site_;
  ptq::SiteStats stats_;
  EstimatorSet::Entry entry_;
  SchemeTrial rounding_{"", ptq::Json::object(), {}};
  Told* told_ = nullptr;
  std::vector<QuantScheme> schemes_{{2, 8, true}, {4, 8, true}, {4, -1, false}};
};

TEST_F(SchemeCostsTest, AreWhatIsPredictedForTheWholeChange) {
  told_->whole = told_->by_channel = true;
  const std::vector<double> found = costs();
  for (size_t k = 0; k < schemes_.size(); ++k)
    EXPECT_DOUBLE_EQ(found[k], 100 * squared_error(schemes_[k]).sum().item<double>());
}

TEST_F(SchemeCostsTest, AreTheSumOverChannelsWhereNothingIsSaidOfTheWhole) {
  told_->by_channel = true;
  const std::vector<double> found = costs();
  for (size_t k = 0; k < schemes_.size(); ++k)
    EXPECT_DOUBLE_EQ(found[k], (squared_error(schemes_[k]) * 10).sum().item<double>());
}

TEST_F(SchemeCostsTest, AreScoreTimesSquaredErrorWhereNothingIsPredicted) {
  SchemeCosts costs(entry_, rounding_);
  const std::vector<double> found = costs.of({site_, weight_, stats_, at::kFloat}, schemes_);
  EXPECT_FALSE(costs.predicted());
  const at::Tensor scores = at::arange(1, 17, at::kDouble);
  for (size_t k = 0; k < schemes_.size(); ++k)
    EXPECT_DOUBLE_EQ(found[k], (scores * squared_error(schemes_[k])).sum().item<double>());
}

TEST_F(SchemeCostsTest, AreOfWhatTheTrialMakesOfTheWeight) {
  const at::Tensor x = at::randn({40, 16});
  stats_.set("gram", std::make_shared<ptq::Sums>(ptq::Sums{{"sum", at::matmul(x.t(), x)}}));
  stats_.set_counts({1, 40, 0});
  told_->whole = true;
  for (const char* method : {"rtn", "gptq"}) {
    SchemeTrial trial(method, ptq::Json::object(), schemes_);
    const SiteView view{site_, weight_, stats_, at::kFloat};
    const std::vector<double> found = SchemeCosts(entry_, trial).of(view, schemes_);
    const auto quantizer = ptq::quantizers().make(method);
    for (size_t k = 0; k < schemes_.size(); ++k) {
      const at::Tensor made = quantizer->quantize(view, schemes_[k]).weight.dequantize();
      const double error = (made - weight_).to(at::kDouble).square().sum().item<double>();
      EXPECT_DOUBLE_EQ(found[k], 100 * error) << method;
    }
    EXPECT_EQ(trial.fallbacks(), 0);
  }
}

TEST(SchemeTrial, RefusesAMethodThatNeedsMoreThanStatistics) {
  for (const char* method : {"awq", "autoround"})
    EXPECT_THROW(SchemeTrial(method, ptq::Json::object(), {}), ptq::UnsupportedError) << method;
  EXPECT_THROW(SchemeTrial("gptq", (ptq::Json{{"target", "full-precision"}}), {}),
               ptq::UnsupportedError);
  EXPECT_THROW(SchemeTrial("gtpq", ptq::Json::object(), {}), ptq::ConfigError);
  EXPECT_THAT(SchemeTrial("gptq", ptq::Json::object(), {}).statistics(),
              testing::ElementsAre("gram"));
  EXPECT_THAT(SchemeTrial("", ptq::Json::object(), {}).statistics(), testing::IsEmpty());
}

TEST(SchemeTrial, RefusesSchemesThatTheMethodDoesNotMake) {
  const QuantScheme grid{4, 32, true}, table{4, -1, true, true};
  for (const char* method : {"", "rtn", "gptq"})
    EXPECT_THROW(SchemeTrial(method, ptq::Json::object(), {grid, table}), ptq::ConfigError)
        << method;
  EXPECT_THROW(SchemeTrial("kmeans", ptq::Json::object(), {table, grid}), ptq::ConfigError);
  EXPECT_NO_THROW(SchemeTrial("kmeans", ptq::Json::object(), {table}));
}

TEST(RequireMade, NamesALinearAndItsScheme) {
  const auto rtn = ptq::quantizers().make("rtn");
  const QuantScheme grid{4, 32, true}, table{4, -1, true, true};
  EXPECT_NO_THROW(ptq::detail::require_made("rtn", *rtn, {{"a", grid}, {"b", grid}}));
  EXPECT_THAT(
      [&] {
        ptq::detail::require_made("rtn", *rtn, {{"a", grid}, {"b", table}});
      },
      testing::ThrowsMessage<ptq::ConfigError>(
          testing::HasSubstr("rtn cannot make w4-lookup of b")));
}

TEST_F(SchemeCostsTest, AreRefusedWhereSomeArePredictedAndOthersNot) {
  told_->whole = true;
  told_->most_whole = (squared_error(schemes_[0]).sum().item<double>() +
                       squared_error(schemes_[1]).sum().item<double>()) /
                      2;
  EXPECT_THROW(costs(), ptq::Context);
  try {
    costs();
    FAIL() << "2 bits are not predicted, 4 are";
  } catch (const std::exception& error) {
    EXPECT_EQ(ptq::exit_code_of(error), ptq::UnsupportedError("").exit_code());
    EXPECT_THAT(ptq::describe(error), testing::HasSubstr("for some candidates and not for others"));
    EXPECT_THAT(ptq::describe(error), testing::HasSubstr("model.layers.0.q"));
  }
}

TEST_F(SchemeCostsTest, AreRefusedWhereTheyAreNotFinite) {
  told_->whole = true;
  told_->factor = NAN;
  try {
    costs();
    FAIL() << "a cost is NaN";
  } catch (const std::exception& error) {
    EXPECT_EQ(ptq::exit_code_of(error), ptq::NumericalError("").exit_code());
    EXPECT_THAT(ptq::describe(error), testing::HasSubstr("w2g8"));
  }
}

TEST_F(SchemeCostsTest, AreRefusedOfAnEstimatorThatIsBoundToOneScheme) {
  ptq::GradientProbe probe;
  probe.direction = std::make_shared<ptq::RoundingDirection>(QuantScheme{4, 8, true});
  told_->gradients = {probe};
  EXPECT_THROW(SchemeCosts(entry_, rounding_), ptq::UnsupportedError);
}

}  // namespace
