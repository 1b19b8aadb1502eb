#include "ptq/pipeline/mixed_precision.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"
#include "ptq/core/error.h"
#include "ptq/pipeline/quantize.h"
#include "support/tiny_model.h"

namespace {

using ptq::MixedPrecisionJob;
using ptq::MixedPrecisionPlan;
using ptq::QuantScheme;
using ptq::test::message_of;
using ptq::test::Scratch;

struct Silent : ptq::ProgressListener {
  void begin(const std::string&, int64_t, int64_t) override {}
  void step(int64_t, const std::string&) override {}
  void note(const std::string&) override {}
  void warning(const std::string&) override {}
};

/// Plans by the control that needs no data.
class MixedPrecisionTest : public testing::Test {
 protected:
  MixedPrecisionTest() {
    job_.model = scratch_ / "model";
    job_.out = scratch_ / "plan.json";
    job_.estimator = "weight-error";
    job_.plugin_options = {{"weight-error", {{"group_size", 16}}}};
    job_.candidates = {{2, 16, true}, {3, 16, true}, {4, 16, false}, {8, -1, true}};
    job_.target_bits = 4.5;
    job_.overwrite = true;
  }

  MixedPrecisionPlan planned() { return ptq::plan_mixed_precision(job_, listener_); }

  /// The schemes that q, k, v and gate, up have where all of each agree.
  static void expect_ties(const MixedPrecisionPlan& plan) {
    std::map<std::string, QuantScheme> of_input;
    for (const MixedPrecisionPlan::Row& row : plan.rows) {
      const auto known = of_input.emplace(row.site.input, row.chosen.scheme).first;
      EXPECT_EQ(known->second, row.chosen.scheme) << row.site.name;
    }
    EXPECT_LT(of_input.size(), plan.rows.size());
  }

  const Scratch scratch_;
  MixedPrecisionJob job_;
  Silent listener_;
};

TEST_F(MixedPrecisionTest, FitsAndTiesLinearsOfOneInputInEveryFamily) {
  ptq::testing::tiny_llama().write(scratch_ / "llama");
  ptq::testing::tiny_opt().write(scratch_ / "opt");
  for (const char* model : {"llama", "opt"}) {
    job_.model = scratch_ / model;
    const MixedPrecisionPlan plan = planned();
    EXPECT_LE(plan.total.bits_per_weight, 4.5);
    EXPECT_GT(plan.total.bits_per_weight, 4.0);
    EXPECT_TRUE(plan.exact);
    expect_ties(plan);
  }
}

TEST_F(MixedPrecisionTest, CountsTheBytesThatAreWritten) {
  ptq::testing::tiny_llama().write(job_.model);
  job_.target_bytes = planned().total.output_bytes - 1;
  job_.target_bits = 0;
  const MixedPrecisionPlan plan = planned();
  EXPECT_LE(plan.total.output_bytes, job_.target_bytes);
  ptq::QuantizeJob quantize;
  quantize.model = job_.model;
  quantize.out = scratch_ / "out";
  quantize.method = "rtn";
  quantize.plan.decided = ptq::read_scheme_plan(job_.out);
  const ptq::QuantizeReport report = ptq::quantize_checkpoint(quantize, listener_);
  const ptq::Checkpoint output(quantize.out);
  int64_t bytes = 0;
  for (const std::string& name : output.names())
    bytes += static_cast<int64_t>(output.tensor(name).nbytes());
  EXPECT_EQ(bytes, plan.total.output_bytes);
  EXPECT_DOUBLE_EQ(report.bits_per_weight(), plan.total.bits_per_weight);
  for (const ptq::SiteReport& site : report.sites)
    EXPECT_EQ(site.scheme, quantize.plan.decided->schemes.at(site.name));
}

TEST_F(MixedPrecisionTest, RefusesAJobWithoutOneBudgetAndCandidates) {
  job_.target_bytes = 1000;
  EXPECT_THROW(planned(), ptq::ConfigError);
  job_.target_bytes = 0;
  job_.target_bits = 0;
  EXPECT_THROW(planned(), ptq::ConfigError);
  job_.target_bits = 4;
  job_.candidates = {};
  EXPECT_THROW(planned(), ptq::ConfigError);
  job_.candidates = {{9, 16, true}};
  EXPECT_THROW(planned(), ptq::ConfigError);
}

TEST_F(MixedPrecisionTest, TellsTheLeastAndTheLargestSizeWhereTheBudgetIsTooSmall) {
  ptq::testing::tiny_llama().write(job_.model);
  job_.target_bits = 2;
  const std::string message = message_of<ptq::ConfigError>([&] { planned(); });
  EXPECT_THAT(message, testing::HasSubstr("2.0 bits a weight"));
  EXPECT_THAT(message, testing::HasSubstr("3.000 bits"));  // 2 bits and a scale for 16 weights
  EXPECT_THAT(message, testing::HasSubstr("the largest"));
  EXPECT_FALSE(std::filesystem::exists(job_.out));
}

TEST_F(MixedPrecisionTest, RefusesAQuantizedModel) {
  ptq::testing::tiny_llama().write(job_.model);
  ptq::QuantizeJob quantize;
  quantize.model = job_.model;
  quantize.out = scratch_ / "out";
  quantize.method = "rtn";
  quantize.plan.scheme.group_size = 16;
  ptq::quantize_checkpoint(quantize, listener_);
  job_.model = quantize.out;
  EXPECT_THROW(planned(), ptq::UnsupportedError);
}

}  // namespace
