#include "ptq/eval/evaluate.h"

#include <cmath>
#include <limits>
#include <random>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "support/fake_model.h"

namespace ptq {
namespace {

using test::FakeModel;
using testing::HasSubstr;

// float32 logits of magnitude below 30 with sums of 8 products and two blocks: rounding of about
// 30 · 10 · 6e-8 = 2e-5 in one, and less in a difference of log-probabilities' mean.
constexpr double kLogitRounding = 2e-5;

std::vector<int64_t> random_ids(size_t count, int64_t vocab) {
  std::mt19937 generator(7);
  std::uniform_int_distribution<int64_t> id(0, vocab - 1);
  std::vector<int64_t> ids(count);
  for (int64_t& value : ids)
    value = id(generator);
  return ids;
}

WindowPlan random_plan(const PerplexityRequest& request, size_t tokens = 100) {
  return make_windows(random_ids(tokens, 37), request, 3);
}

/// Mean NLL of a window by the oracle.
double oracle_nll(const FakeModel& model, const Window& window) {
  const at::Tensor log_p = model.log_probabilities(window.ids);
  double sum = 0.0;
  for (int64_t i = window.first_scored; i < static_cast<int64_t>(window.ids.size()); ++i)
    sum -= log_p[i - 1][window.ids[static_cast<size_t>(i)]].item<double>();
  return sum / static_cast<double>(window.scored_tokens());
}

std::string numerical_fault(const FakeModel& model, const FakeModel* reference = nullptr) {
  try {
    EvalSettings settings;
    settings.batch_tokens = 20;  // several batches of two windows
    evaluate(model, reference, random_plan({"gptq", 10, 1, -1}), settings);
  } catch (const NumericalError& error) {
    return error.what();
  }
  return "";
}

std::string config_fault(const FakeModel& model, const FakeModel* reference, const WindowPlan& plan,
                         const EvalSettings& settings) {
  try {
    evaluate(model, reference, plan, settings);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Evaluate, EqualsFloat64OfTheWholeWindowUnderEveryProtocol) {
  const FakeModel model({});
  for (const char* protocol : {"gptq", "llama.cpp", "sliding"}) {
    const WindowPlan plan = random_plan({protocol, 12, 5, -1});
    const EvalResult result = evaluate(model, nullptr, plan, {});
    double sum = 0.0;
    for (size_t i = 0; i < plan.windows.size(); ++i) {
      const double expected = oracle_nll(model, plan.windows[i]);
      EXPECT_NEAR(result.model.window_nll[i], expected, kLogitRounding) << protocol << " " << i;
      sum += expected * static_cast<double>(plan.windows[i].scored_tokens());
    }
    const double mean = sum / static_cast<double>(plan.scored_tokens());
    EXPECT_NEAR(result.model.mean_nll_nats, mean, kLogitRounding) << protocol;
    EXPECT_NEAR(std::log(result.model.perplexity), mean, kLogitRounding) << protocol;
    EXPECT_EQ(result.model.protocol, protocol);
    EXPECT_EQ(result.model.scored_tokens, plan.scored_tokens());
    EXPECT_FALSE(result.reference.has_value());
    EXPECT_FALSE(result.kl.has_value());
  }
}

TEST(Evaluate, PerplexityOfAUniformModelIsItsVocabulary) {
  FakeModel model({});
  model.head_.zero_();
  const EvalResult result = evaluate(model, nullptr, random_plan({"gptq", 10, 1, -1}), {});
  EXPECT_NEAR(result.model.perplexity, 37.0, 37.0 * 1e-14);
  EXPECT_NEAR(result.model.standard_error, 0.0, 37.0 * 1e-14);
}

TEST(Evaluate, ReadsTheHeadInTheDtypeOfTheCheckpoint) {
  const WindowPlan plan = random_plan({"gptq", 12, 5, -1});
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
    FakeModel model({});
    model.head_ = model.head_.to(dtype);
    const EvalResult result = evaluate(model, nullptr, plan, {});
    for (size_t i = 0; i < plan.windows.size(); ++i)
      EXPECT_NEAR(result.model.window_nll[i], oracle_nll(model, plan.windows[i]), kLogitRounding)
          << at::toString(dtype) << " " << i;
  }
}

TEST(Evaluate, SettingsChangeNothingBeyondRounding) {
  FakeModel model({}), reference({37, 8, 2, 64, 1});
  model.head_ = model.head_.to(at::kHalf);  // head_weight_bytes acts on these only
  reference.head_ = reference.head_.to(at::kHalf);
  const WindowPlan plan = random_plan({"sliding", 12, 5, -1});
  EvalSettings one_by_one;
  one_by_one.batch_tokens = 1;
  one_by_one.head_rows = 1;
  one_by_one.head_weight_bytes = 1;
  one_by_one.hidden_state_bytes = 1;
  EvalSettings odd;
  odd.batch_tokens = 30;
  odd.head_rows = 7;
  odd.head_weight_bytes = 5 * 8 * 4;  // slices of 5 rows; 37 is no multiple
  odd.hidden_state_bytes = 2000;
  const EvalResult expected = evaluate(model, &reference, plan, {});
  for (const EvalSettings& settings : {one_by_one, odd}) {
    const EvalResult result = evaluate(model, &reference, plan, settings);
    for (size_t i = 0; i < plan.windows.size(); ++i) {
      EXPECT_NEAR(result.model.window_nll[i], expected.model.window_nll[i], kLogitRounding) << i;
      EXPECT_NEAR(result.reference->window_nll[i], expected.reference->window_nll[i],
                  kLogitRounding);
    }
    EXPECT_NEAR(result.kl->mean_nats, expected.kl->mean_nats, kLogitRounding);
    EXPECT_EQ(result.kl->top1_agreement, expected.kl->top1_agreement);
    EXPECT_EQ(result.windows_sha256, expected.windows_sha256);
  }
}

TEST(Evaluate, LoadsEveryBlockOnceUnlessHiddenStatesDoNotFit) {
  const FakeModel model({});
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  EvalSettings settings;
  settings.batch_tokens = 20;
  evaluate(model, nullptr, plan, settings);
  EXPECT_EQ(model.blocks_loaded_, 2);
  model.blocks_loaded_ = 0;
  settings.hidden_state_bytes = 40 * 8 * 4;  // two of the five batches: three parts
  evaluate(model, nullptr, plan, settings);
  EXPECT_EQ(model.blocks_loaded_, 3 * 2);
}

/// What happened to the packed weights of a model.
struct Preparations {
  int64_t scopes = 0, alive = 0, most_alive = 0, rows = 0;
  int64_t products = 0, unprepared_products = 0;
};

class CountingWeight : public PackedWeight {
 public:
  CountingWeight(const at::Tensor& weight, Preparations& counts)
      : weight_(weight), counts_(counts) {}
  void multiply(const at::Tensor& x, const at::Tensor& y) const override {
    ++counts_.products;
    if (!prepared_) ++counts_.unprepared_products;
    affine_into(x, weight_, y);
  }
  std::shared_ptr<void> prepare(int64_t rows) const override {
    ++counts_.scopes;
    counts_.rows = rows;
    counts_.most_alive = std::max(counts_.most_alive, ++counts_.alive);
    prepared_ = true;
    return {&counts_, [this](void*) {
              prepared_ = false;
              --counts_.alive;
            }};
  }
  int64_t bytes() const override { return 0; }

 private:
  at::Tensor weight_;
  Preparations& counts_;
  mutable bool prepared_ = false;
};

TEST(Evaluate, PreparesTheWeightsOfTheResidentBlockForSeveralBatches) {
  const FakeModel dense({});
  FakeModel packed({});
  Preparations counts;
  for (const at::Tensor& weight : dense.weights_)
    packed.packed_.push_back(std::make_shared<CountingWeight>(weight, counts));
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  EvalSettings settings;
  settings.batch_tokens = 40;  // batches of 4, 4 and 2 windows
  const EvalResult result = evaluate(packed, nullptr, plan, settings);
  EXPECT_EQ(result.model.window_nll, evaluate(dense, nullptr, plan, settings).model.window_nll);
  EXPECT_EQ(counts.scopes, 2);
  EXPECT_EQ(counts.most_alive, 1);
  EXPECT_EQ(counts.alive, 0);
  EXPECT_EQ(counts.rows, 40);
  EXPECT_EQ(counts.products, 2 * 3);
  EXPECT_EQ(counts.unprepared_products, 0);
  settings.batch_tokens = 100;  // one batch has nothing to share
  evaluate(packed, nullptr, plan, settings);
  EXPECT_EQ(counts.scopes, 2);
}

TEST(Evaluate, AModelAgainstItselfHasNoDivergence) {
  const FakeModel model({});
  const EvalResult result = evaluate(model, &model, random_plan({"gptq", 10, 1, -1}), {});
  EXPECT_NEAR(result.kl->mean_nats, 0.0, 1e-12);
  EXPECT_NEAR(result.kl->quantiles.back().second, 0.0, 1e-12);
  EXPECT_EQ(result.kl->top1_agreement, 1.0);
  EXPECT_EQ(result.kl->mean_delta_p, 0.0);
  EXPECT_EQ(result.kl->rms_delta_p, 0.0);
  EXPECT_EQ(result.kl->mean_delta_nll_nats, 0.0);
  EXPECT_EQ(result.reference->perplexity, result.model.perplexity);
}

TEST(Evaluate, DivergenceIsThatOfTheReferenceFromTheModel) {
  const FakeModel model({}), reference({37, 8, 2, 64, 1});
  const WindowPlan plan = random_plan({"llama.cpp", 10, 1, -1});
  const EvalResult result = evaluate(model, &reference, plan, {});
  double kl = 0.0, delta_p = 0.0, same = 0.0;
  for (const Window& window : plan.windows) {
    const at::Tensor log_p = model.log_probabilities(window.ids);
    const at::Tensor log_r = reference.log_probabilities(window.ids);
    const at::Tensor each = (log_r.exp() * (log_r - log_p)).sum(-1);
    const at::Tensor equal = log_p.argmax(-1).eq(log_r.argmax(-1));
    for (int64_t i = window.first_scored; i < static_cast<int64_t>(window.ids.size()); ++i) {
      const int64_t target = window.ids[static_cast<size_t>(i)];
      kl += each[i - 1].item<double>();
      same += equal[i - 1].item<bool>() ? 1.0 : 0.0;
      delta_p += (log_p[i - 1][target].exp() - log_r[i - 1][target].exp()).item<double>();
    }
  }
  const auto tokens = static_cast<double>(plan.scored_tokens());
  EXPECT_NEAR(result.kl->mean_nats, kl / tokens, 2 * kLogitRounding);
  EXPECT_NEAR(result.kl->mean_delta_p, delta_p / tokens, kLogitRounding);
  EXPECT_DOUBLE_EQ(result.kl->top1_agreement, same / tokens);
  EXPECT_NEAR(result.kl->mean_delta_nll_nats,
              std::log(result.model.perplexity / result.reference->perplexity), 1e-12);
  EXPECT_EQ(result.kl->tokens, plan.scored_tokens());
  // The directions differ: swapped arguments must not pass.
  const EvalResult swapped = evaluate(reference, &model, plan, {});
  EXPECT_GT(std::abs(swapped.kl->mean_nats - result.kl->mean_nats), 0.01);
}

TEST(Evaluate, NamesWindowPositionAndBlockOfANonFiniteValue) {
  FakeModel model({});
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  FakeModel broken({});
  broken.weights_[1].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(numerical_fault(broken), HasSubstr("block 1 of the model"));
  EXPECT_THAT(numerical_fault(broken), HasSubstr("window 0 at position 0"));
  EXPECT_THAT(numerical_fault(model, &broken), HasSubstr("block 1 of the reference"));

  // Every token of the text in turn, where it occurs first.
  std::vector<bool> seen(37, false);
  for (size_t window = 0; window < plan.windows.size(); ++window)
    for (size_t i = 0; i < 10; ++i) {
      const int64_t id = plan.windows[window].ids[i];
      if (seen[static_cast<size_t>(id)]) continue;
      seen[static_cast<size_t>(id)] = true;
      broken = FakeModel({});
      broken.embedding_[id].fill_(std::numeric_limits<float>::infinity());
      EXPECT_THAT(numerical_fault(broken),
                  HasSubstr("embedding of the model is not finite in window " +
                            std::to_string(window) + " at position " + std::to_string(i)));
    }
}

TEST(Evaluate, NamesWindowAndPositionOfNonFiniteLogits) {
  FakeModel broken({});
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  // The targets of this id get a logit of -infinity: only they have no finite NLL.
  const int64_t id = plan.windows[1].ids[5];
  broken.embedding_.select(1, 0).fill_(50.0F);
  broken.weights_[0].zero_();
  broken.weights_[1].zero_();
  broken.head_[id][0] = -std::numeric_limits<float>::infinity();
  for (size_t window = 0; window < 2; ++window)
    for (size_t i = 1; i < 10; ++i)
      if (plan.windows[window].ids[i] == id) {
        EXPECT_THAT(numerical_fault(broken),
                    HasSubstr("logits of the model are not finite in window " +
                              std::to_string(window) + " at position " + std::to_string(i - 1)));
        return;
      }
}

TEST(Evaluate, FindsOneBadValueAmongManyLarge) {
  // A sum that overflows although every value is finite is no fault.
  FakeModel model({});
  model.embedding_.select(1, 0).fill_(3e38F);
  model.head_.select(1, 0).zero_();
  EXPECT_NO_THROW(evaluate(model, nullptr, random_plan({"gptq", 10, 1, -1}), {}));
}

TEST(Evaluate, RefusesWhatDoesNotFitTheModels) {
  const FakeModel model({});
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  const FakeModel other({40, 8, 2, 64, 0});
  EXPECT_THAT(config_fault(model, &other, plan, {}), HasSubstr("37 tokens, the reference 40"));
  const FakeModel shorter({37, 8, 2, 9, 0});
  EXPECT_THAT(config_fault(shorter, nullptr, plan, {}), HasSubstr("9 positions of the model"));
  const FakeModel smaller({20, 8, 2, 64, 0});
  EXPECT_THAT(config_fault(smaller, nullptr, plan, {}), HasSubstr("vocabulary of 20"));
  EvalSettings settings;
  settings.head_rows = 0;
  EXPECT_THAT(config_fault(model, nullptr, plan, settings), HasSubstr("head_rows 0"));
  EXPECT_THAT(config_fault(model, nullptr, {}, {}), HasSubstr("no window"));
}

TEST(Evaluate, ReportsProgressUpToOneAndStopsWhenTold) {
  const FakeModel model({}), reference({37, 8, 2, 64, 1});
  EvalSettings settings;
  settings.batch_tokens = 20;
  double last = 0.0;
  std::vector<std::string> steps;
  settings.progress = [&](const EvalProgress& progress) {
    EXPECT_GE(progress.fraction, last);
    last = progress.fraction;
    if (steps.empty() || steps.back() != progress.step) steps.push_back(progress.step);
  };
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  evaluate(model, &reference, plan, settings);
  EXPECT_NEAR(last, 1.0, 1e-9);
  EXPECT_THAT(steps, testing::ElementsAre("block 1 of 2", "block 2 of 2", "reference block 1 of 2",
                                          "reference block 2 of 2", "LM head"));
  settings.progress = [](const EvalProgress&) { throw InterruptedError("stop"); };
  EXPECT_THROW(evaluate(model, nullptr, plan, settings), InterruptedError);
}

TEST(Evaluate, JsonHoldsModelReferenceAndDivergence) {
  const FakeModel model({});
  const WindowPlan plan = random_plan({"gptq", 10, 1, -1});
  const Json alone = evaluate(model, nullptr, plan, {}).to_json();
  EXPECT_EQ(alone.at("model").at("protocol"), "gptq");
  EXPECT_EQ(alone.at("windows_sha256"), plan.sha256());
  EXPECT_FALSE(alone.contains("kl"));
  const Json both = evaluate(model, &model, plan, {}).to_json();
  EXPECT_EQ(both.at("kl").at("top1_agreement"), 1.0);
  EXPECT_EQ(both.at("reference").at("perplexity"), both.at("model").at("perplexity"));
}

}  // namespace
}  // namespace ptq
