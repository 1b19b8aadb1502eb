#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/quantizers/quantizer.h"
#include "site_fixture.h"

namespace ptq {
namespace {

constexpr QuantScheme kScheme{3, 16, true};

/// A linear with statistics made by hand.
class HandMadeSite {
 public:
  explicit HandMadeSite(at::Tensor weight) : weight_(std::move(weight)) {
    site_.name = "model.layers.0.mlp.down_proj";
    site_.out_features = weight_.size(0);
    site_.in_features = weight_.size(1);
  }

  void set(const std::string& statistic, const std::string& sum, const at::Tensor& value) {
    auto sums = std::make_shared<Sums>();
    if (stats_.has(statistic)) *sums = *stats_.all().at(statistic);
    (*sums)[sum] = value;
    stats_.set(statistic, sums);
  }
  void set_tokens(int64_t tokens) { stats_.set_counts({1, tokens, 0}); }

  QuantizedSite quantize(const Json& options) const {
    return quantizers()
        .make("gptq", options)
        ->quantize({site_, weight_, stats_, at::kFloat}, kScheme);
  }

 private:
  LinearSite site_;
  at::Tensor weight_;
  SiteStats stats_;
};

at::Tensor some_gram(int64_t in) {
  const at::Tensor x = correlated_inputs(1, 200, in)[0];
  const at::Tensor gram = x.t().mm(x);
  return (gram + gram.t()) / 2;
}

TEST(GptqWeighted, EveryRunOfOutputsIsRoundedByItsOwnMatrix) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({23, 64});
  const std::vector<at::Tensor> grams{some_gram(64), some_gram(64), some_gram(64)};
  HandMadeSite site(weight);
  site.set("weighted-gram", "sum", at::stack(grams));
  const Json options{{"hessian", "weighted"}, {"refit", true}, {"descent", 1}};
  const QuantizedSite whole = site.quantize(options);
  whole.weight.check();
  double error = 0, energy = 0;
  for (int64_t run = 0; run < 3; ++run) {
    const int64_t first = 23 * run / 3, count = 23 * (run + 1) / 3 - first;
    const at::Tensor rows = weight.narrow(0, first, count).contiguous();
    HandMadeSite part(rows);
    part.set("gram", "sum", grams[static_cast<size_t>(run)]);
    const QuantizedSite alone = part.quantize({{"refit", true}, {"descent", 1}});
    EXPECT_TRUE(at::equal(whole.weight.q.narrow(0, first, count), alone.weight.q));
    EXPECT_TRUE(at::equal(whole.weight.scale.narrow(0, first, count), alone.weight.scale));
    EXPECT_TRUE(at::equal(whole.weight.zero.narrow(0, first, count), alone.weight.zero));
    const at::Tensor h = grams[static_cast<size_t>(run)].to(at::kDouble);
    const at::Tensor w = rows.to(at::kDouble), miss = alone.weight.dequantize() - w;
    error += (miss.mm(h) * miss).sum().item<double>();
    energy += (w.mm(h) * w).sum().item<double>();
  }
  // Sums of products in float32, as in Gptq.ReportsTheErrorOfTheOutputs.
  EXPECT_NEAR(whole.relative_error, error / energy, 1e-3 * error / energy);
}

TEST(GptqWeighted, FallbacksNameTheOutputsTheyAreOf) {
  at::manual_seed(2);
  HandMadeSite site(at::randn({8, 32}));
  site.set("weighted-gram", "sum", at::stack({some_gram(32), at::zeros({32, 32})}));
  const QuantizedSite result = site.quantize({{"hessian", "weighted"}});
  ASSERT_EQ(result.fallbacks.size(), 1U);
  EXPECT_EQ(result.fallbacks[0].find("outputs 4 to 7: rounded to nearest"), 0U);
}

TEST(GptqWeighted, FewEffectiveTokensRaiseTheDamping) {
  at::manual_seed(3);
  const at::Tensor gram = some_gram(32);
  HandMadeSite site(at::randn({8, 32}));
  site.set("gram", "sum", gram);
  site.set("weighted-gram", "sum", gram.unsqueeze(0));
  // (Σ‖g‖²)² / Σ‖g‖⁴ = 128 tokens, a quarter of 16 · 32: twice the damping.
  site.set("gradient-energy", "energy", at::full({}, 16.0, at::kDouble));
  site.set("gradient-energy", "energy_squared", at::full({}, 2.0, at::kDouble));
  const double usual = 0.01 * gram.diagonal().mean().item<double>();
  const auto damping = [&](const char* hessian) {
    return site.quantize({{"hessian", hessian}, {"token_damping", true}})
        .details.at("damping")
        .get<double>();
  };
  EXPECT_NEAR(damping("weighted"), 2 * usual, 1e-6 * usual);
  site.set_tokens(32);
  EXPECT_NEAR(damping("gram"), 4 * usual, 1e-6 * usual);
  site.set_tokens(512);
  EXPECT_NEAR(damping("gram"), usual, 1e-6 * usual);
}

TEST(GptqWeighted, ReadsTheStatisticsThatItsOptionsNeed) {
  const auto needs = [](const Json& options) {
    return quantizers().make("gptq", options)->statistics();
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(needs({{"token_damping", true}}), Names{"gram"});
  EXPECT_EQ(needs({{"hessian", "weighted"}}), Names{"weighted-gram"});
  EXPECT_EQ(needs({{"hessian", "weighted"}, {"token_damping", true}}),
            (Names{"weighted-gram", "gradient-energy"}));
}

}  // namespace
}  // namespace ptq
