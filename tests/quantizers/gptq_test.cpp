#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "gptq_fixture.h"
#include "ptq/backends/device_columns.h"
#include "ptq/core/error.h"
#include "ptq/quantizers/grid.h"

namespace ptq {
namespace {

/// The textbook recursion in float64: after a column is rounded, the rest takes up its error by the
/// inverse Hessian, from which the column is then eliminated.
struct Textbook {
  at::Tensor weight, hessian;  ///< float64
  at::Tensor order;            ///< int64 [in]
  int bits;

  /// `grid_of(weights so far, column)` gives scale and zero point, float64 [out] each.
  template <class GridOf>
  at::Tensor codes(GridOf&& grid_of) const {
    at::Tensor w = weight.clone(), inverse = at::linalg_inv(hessian);
    at::Tensor q = at::empty(weight.sizes(), at::kByte);
    for (int64_t step = 0; step < order.size(0); ++step) {
      const int64_t j = order[step].item<int64_t>();
      const auto [scale, zero] = grid_of(w, j);
      const at::Tensor code = ((w.select(1, j) / scale).round() + zero).clamp(0, (1 << bits) - 1);
      q.select(1, j).copy_(code.to(at::kByte));
      const at::Tensor row = inverse.select(0, j).clone();
      const double pivot = row[j].item<double>();
      const at::Tensor error = (w.select(1, j) - (code - zero) * scale) / pivot;
      w -= at::outer(error, row);
      inverse -= at::outer(row, row) / pivot;
    }
    return q;
  }
};

at::Tensor damped(const at::Tensor& inputs, double damping) {
  const int64_t in = inputs.size(-1);
  const at::Tensor x = inputs.reshape({-1, in}).to(at::kDouble);
  at::Tensor h = at::matmul(x.t(), x);
  h.diagonal().add_(damping * h.diagonal().mean().item<double>());
  return h;
}

/// Rows on which both have the same codes.  Float32 rounding moves w/scale by about 1e-5, so about
/// one code in 1e5 may fall on the other side of a tie, and the rest of its row with it.
int64_t equal_rows(const at::Tensor& a, const at::Tensor& b) {
  return a.eq(b).all(1).sum().item<int64_t>();
}

TEST(Gptq, FollowsTheTextbookRecursionWithActivationOrder) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({48, 160}), inputs = correlated_inputs(4, 200, 160);
  for (const bool symmetric : {true, false}) {
    const QuantScheme scheme{3, 32, symmetric};
    const QuantizedTensor tensor = quantize(weight, inputs, {}, scheme).weight;
    const at::Tensor h = damped(inputs, 0.01);
    const Textbook textbook{weight.to(at::kDouble), h,
                            std::get<1>(h.diagonal().sort(true, 0, true)), 3};
    const at::Tensor codes = textbook.codes([&](const at::Tensor&, int64_t j) {
      return std::pair(tensor.scale.select(1, j / 32).to(at::kDouble),
                       tensor.zero.select(1, j / 32).to(at::kDouble));
    });
    EXPECT_GE(equal_rows(codes, tensor.q), 47);
  }
}

/// Whole groups by their largest diagonal element, and the columns of each by theirs.
at::Tensor group_aware_order(const at::Tensor& diagonal, int64_t length) {
  std::vector<int64_t> columns(static_cast<size_t>(diagonal.size(0)));
  std::iota(columns.begin(), columns.end(), 0);
  const auto largest = [&](int64_t j) {
    return diagonal.narrow(0, j / length * length, length).max().item<double>();
  };
  std::sort(columns.begin(), columns.end(), [&](int64_t a, int64_t b) {
    return std::pair(-largest(a), -diagonal[a].item<double>()) <
           std::pair(-largest(b), -diagonal[b].item<double>());
  });
  return at::tensor(columns, at::kLong);
}

TEST(Gptq, FollowsTheTextbookRecursionGroupByGroup) {
  at::manual_seed(15);
  const at::Tensor weight = at::randn({48, 160}), inputs = correlated_inputs(4, 200, 160);
  const QuantScheme scheme{3, 32, true};
  const QuantizedTensor tensor =
      quantize(weight, inputs, {{"order", "group-aware"}}, scheme).weight;
  const at::Tensor h = damped(inputs, 0.01);
  const Textbook textbook{weight.to(at::kDouble), h, group_aware_order(h.diagonal(), 32), 3};
  const at::Tensor codes = textbook.codes([&](const at::Tensor&, int64_t j) {
    return std::pair(tensor.scale.select(1, j / 32).to(at::kDouble),
                     tensor.zero.select(1, j / 32).to(at::kDouble));
  });
  EXPECT_GE(equal_rows(codes, tensor.q), 47);
}

/// ‖(ŵ − w) Xᵀ‖² of every row, float64.
at::Tensor row_errors(const QuantizedTensor& quantized, const at::Tensor& weight,
                      const at::Tensor& inputs) {
  const at::Tensor x = inputs.reshape({-1, weight.size(1)}).to(at::kDouble);
  const at::Tensor miss = quantized.dequantize().to(at::kDouble) - weight.to(at::kDouble);
  return at::matmul(x, miss.t()).square().sum(0);
}

TEST(Gptq, SmallerRangesAreTakenOnlyByRowsThatTheyMakeBetter) {
  at::manual_seed(17);
  const at::Tensor weight = at::randn({64, 128}), inputs = correlated_inputs(4, 100, 128);
  const QuantScheme scheme{2, 32, true};
  const QuantizedSite plain = quantize(weight, inputs, {{"grid", "minmax"}}, scheme);
  const QuantizedSite tried =
      quantize(weight, inputs, {{"grid", "minmax"}, {"magr", 0.01}}, scheme);
  const at::Tensor before = row_errors(plain.weight, weight, inputs);
  const at::Tensor after = row_errors(tried.weight, weight, inputs);
  // Compared in float32 over 128 inputs.
  EXPECT_TRUE(after.le(before * (1 + 128 * 0x1p-23)).all().item<bool>());
  const auto better = after.lt(before * (1 - 128 * 0x1p-23)).sum().item<int64_t>();
  EXPECT_GT(better, 10);
  EXPECT_NEAR(tried.details.at("rows_reduced").get<double>(), static_cast<double>(better), 1);
  EXPECT_LT(better, 64) << "every row was changed: the test does not show that some stay";
}

TEST(Gptq, WithoutOrderFitsEachGroupToTheUpdatedWeights) {
  at::manual_seed(2);
  // Groups below and above the solver's block of 128 columns.
  for (const int64_t length : {32, 192}) {
    const QuantScheme scheme{3, length, true};
    const at::Tensor weight = at::randn({48, 384}), inputs = correlated_inputs(4, 200, 384);
    const QuantizedTensor tensor =
        quantize(weight, inputs, {{"order", "none"}, {"grid", "minmax"}}, scheme).weight;
    const Textbook textbook{weight.to(at::kDouble), damped(inputs, 0.01),
                            at::arange(384, at::kLong), 3};
    int64_t other_scales = 0;
    const at::Tensor codes = textbook.codes([&](const at::Tensor& w, int64_t j) {
      const at::Tensor scale = tensor.scale.select(1, j / length);
      if (j % length == 0) {
        const at::Tensor current = w.narrow(1, j, length).to(at::kFloat).contiguous();
        const Grids fitted = fit_grids(current, {3, -1, true}, at::kFloat, {});
        other_scales += (fitted.scale.squeeze(1) / scale - 1).abs().gt(0x1p-10).sum().item<int>();
      }
      return std::pair(scale.to(at::kDouble), at::full({48}, 4.0, at::kDouble));
    });
    // A scale may round to float16's next number, and its row's codes differ after a tie.
    EXPECT_LE(other_scales, 2);
    EXPECT_GE(equal_rows(codes, tensor.q), 46);
  }
}

TEST(Gptq, BeatsRoundToNearestOnCorrelatedInputs) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({64, 128}), inputs = correlated_inputs(8, 128, 128);
  const auto rtn = quantizers().make("rtn", {{"grid", "mse"}});
  const TestSite site(weight, inputs, *rtn);
  const double plain = output_error(rtn->quantize(site.view(), kScheme).weight, weight, inputs);
  for (const char* order : {"none", "activation", "group-aware"})
    for (const char* grid : {"mse", "hessian"}) {
      const QuantizedSite result = quantize(weight, inputs, {{"order", order}, {"grid", grid}});
      EXPECT_LT(output_error(result.weight, weight, inputs), 0.7 * plain) << order << " " << grid;
    }
}

TEST(Gptq, ErrorStaysWithinTheNearestPlaneBoundAndAboveTheOptimum) {
  at::manual_seed(4);
  const QuantScheme scheme{2, -1, true};
  const at::Tensor weight = at::randn({16, 4}), inputs = correlated_inputs(1, 64, 4);
  const QuantizedTensor tensor = quantize(weight, inputs, {{"damping", 1e-6}}, scheme).weight;
  const at::Tensor h = damped(inputs, 1e-6);
  const at::Tensor miss = tensor.dequantize().to(at::kDouble) - weight.to(at::kDouble);
  double excess = 0;
  for (int64_t row = 0; row < 16; ++row) {
    const double scale = tensor.scale[row][0].item<double>();
    double optimum = std::numeric_limits<double>::infinity();
    for (int code = 0; code < 256; ++code) {
      at::Tensor d = at::empty({4}, at::kDouble);
      for (int64_t j = 0; j < 4; ++j)
        d[j] = scale * (((code >> (2 * j)) & 3) - 2) - weight[row][j].item<double>();
      optimum = std::min(optimum, at::dot(d, at::mv(h, d)).item<double>());
    }
    const double error = at::dot(miss[row], at::mv(h, miss[row])).item<double>();
    EXPECT_GE(error, optimum * (1 - 1e-6));
    excess += error / optimum;
  }
  // Greedy rounding is not optimal, but on four columns it is close on average.
  EXPECT_LT(excess / 16, 1.5);
}

TEST(Gptq, ReportsTheErrorOfTheOutputs) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({32, 320}), inputs = correlated_inputs(4, 200, 320);
  for (const double damping : {0.001, 1.0}) {
    const QuantizedSite result = quantize(weight, inputs, {{"damping", damping}});
    const double expected = output_error(result.weight, weight, inputs);
    // The error comes from pivots of a float32 factor; the damping's part, up to a few times the
    // error itself, is subtracted.
    EXPECT_NEAR(result.relative_error, expected, 1e-3 * expected);
  }
}

TEST(Gptq, WhatFollowsTheRoundingMakesTheErrorSmallerAndReportsIt) {
  at::manual_seed(14);
  const at::Tensor weight = at::randn({32, 192}), inputs = correlated_inputs(4, 200, 192);
  double before = quantize(weight, inputs).relative_error;
  for (const Json& options : {Json{{"refit", true}}, Json{{"descent", 1}, {"refit", true}},
                              Json{{"descent", 3}, {"refit", true}}}) {
    const QuantizedSite result = quantize(weight, inputs, options);
    EXPECT_LT(result.relative_error, before) << options;
    const double expected = output_error(result.weight, weight, inputs);
    EXPECT_NEAR(result.relative_error, expected, 1e-3 * expected) << options;
    before = result.relative_error;
  }
}

TEST(Gptq, APresetIsTheOptionsThatAreNotGiven) {
  at::manual_seed(17);
  const at::Tensor weight = at::randn({16, 64}), inputs = correlated_inputs(2, 200, 64);
  const auto same = [&](const Json& preset, const Json& options) {
    const QuantizedTensor a = quantize(weight, inputs, preset).weight;
    const QuantizedTensor b = quantize(weight, inputs, options).weight;
    return at::equal(a.q, b.q) && at::equal(a.scale, b.scale);
  };
  const Json none = Json::object();
  const Json best{{"target", "full-precision"}, {"refit", true}, {"descent", 2}};
  EXPECT_TRUE(same({{"preset", "best"}}, best));
  EXPECT_FALSE(same({{"preset", "best"}}, none));
  EXPECT_TRUE(same({{"preset", "fast"}}, {{"grid", "minmax"}}));
  EXPECT_TRUE(same({{"preset", "default"}}, none));
  EXPECT_TRUE(
      same({{"preset", "best"}, {"descent", 0}, {"refit", false}, {"target", "self"}}, none));
  const auto statistics = [](const Json& options) {
    return quantizers().make("gptq", options)->statistics();
  };
  EXPECT_EQ(statistics({{"preset", "best"}}).size(), 2U);
  EXPECT_EQ(statistics({{"preset", "best"}, {"hessian", "weighted"}}).size(), 1U);
  EXPECT_THROW(quantizers().make("gptq", {{"preset", "quick"}}), ConfigError);
}

TEST(Gptq, WithoutTheFirstTokenItIsGptqOfTheOtherTokens) {
  at::manual_seed(18);
  const at::Tensor weight = at::randn({16, 64});
  at::Tensor inputs = correlated_inputs(4, 100, 64);
  inputs.select(1, 0).mul_(300);  // an attention sink
  const at::Tensor reference = inputs + 0.05F * at::randn_like(inputs);
  const auto made = [&](const Json& options, int64_t from) {
    const auto gptq = quantizers().make("gptq", options);
    const TestSite site(weight, inputs.slice(1, from), *gptq, reference.slice(1, from));
    return gptq->quantize(site.view(), kScheme);
  };
  for (const char* target : {"self", "full-precision"}) {
    const QuantizedSite without = made({{"first_token", false}, {"target", target}}, 0);
    const QuantizedSite others = made({{"target", target}}, 1);
    EXPECT_TRUE(without.weight.q.equal(others.weight.q)) << target;
    EXPECT_EQ(without.relative_error, others.relative_error) << target;
    EXPECT_FALSE(without.weight.q.equal(made({{"target", target}}, 0).weight.q)) << target;
  }
  const QuantizedSite without = made({{"first_token", false}}, 0);
  EXPECT_NEAR(without.relative_error, output_error(without.weight, weight, inputs.slice(1, 1)),
              1e-4 * without.relative_error);  // sums in float32 by the Gram matrix
  // As many tokens as the others are: 16 · 64 of them would need no more damping.
  const Json damped{{"first_token", false}, {"token_damping", true}};
  EXPECT_EQ(made(damped, 0).details, made({{"token_damping", true}}, 1).details);
  EXPECT_THROW(quantizers().make("gptq", {{"first_token", false}, {"hessian", "weighted"}}),
               ConfigError);
}

TEST(Gptq, TakesWhatLiesOnADeviceIfTheDeviceHasAllKernelsForIt) {
  const auto takes = [](const Json& options, const std::string& device) {
    return quantizers().make("gptq", options)->takes(at::Device(device));
  };
  const bool columns = !device_columns_unavailable(0).has_value();
  EXPECT_EQ(takes(Json::object(), "cuda:0"), columns);
  EXPECT_EQ(takes({{"order", "none"}, {"first_token", false}}, "cuda:0"), columns);
  const std::vector<Json> further{Json{{"hessian", "weighted"}}, Json{{"target", "full-precision"}},
                                  Json{{"refit", true}},         Json{{"descent", 1}},
                                  Json{{"magr", 0.01}},          Json{{"preset", "best"}}};
  for (const Json& options : further) {
    EXPECT_FALSE(takes(options, "cuda:0")) << options;
    EXPECT_TRUE(takes(options, "cpu")) << options;
  }
  EXPECT_TRUE(takes(Json::object(), "cpu"));
  EXPECT_FALSE(takes(Json::object(), "meta"));
}

}  // namespace
}  // namespace ptq
