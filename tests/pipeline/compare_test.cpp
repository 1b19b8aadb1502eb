#include "ptq/pipeline/compare.h"

#include <algorithm>
#include <cstdlib>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../src/pipeline/calibration_windows.h"
#include "../../src/pipeline/output_error.h"
#include "ptq/calib/sweep.h"
#include "ptq/core/error.h"
#include "ptq/formats/open.h"
#include "ptq/pipeline/quantize.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

/// Counts what is begun, and interrupts within the part `interrupted`.
struct Listener : ProgressListener {
  void begin(const std::string& what, int64_t, int64_t) override {
    ++begun;
    within = what;
  }
  void step(int64_t, const std::string&) override {}
  void note(const std::string&) override {}
  void warning(const std::string& line) override { warnings.push_back(line); }
  void poll() override {
    if (!interrupted.empty() && within == interrupted) throw InterruptedError("interrupted");
  }
  int begun = 0;
  std::string within, interrupted;
  std::vector<std::string> warnings;
};

class Compare : public ::testing::Test {
 protected:
  void SetUp() override {
    work_ =
        fs::path(::testing::TempDir()) /
        (std::string("compare_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(work_);
    fs::create_directories(work_ / "tmp");
    ::setenv("TMPDIR", (work_ / "tmp").c_str(), 1);
    job_.model = fs::path(PTQ_SOURCE_DIR) / "tests/data/tale-llama";
    job_.methods = {"rtn", "gptq"};
    job_.schemes = {{4, 64, true}};
    job_.calibration.files = {job_.model / "calibration.txt"};
    job_.calibration.samples = 4;
    job_.calibration.seqlen = 32;
    at::manual_seed(1);
    job_.windows = windows_of_rows(at::randint(0, 700, {2, 24}, at::kLong));
  }
  void TearDown() override {
    EXPECT_TRUE(fs::is_empty(work_ / "tmp")) << "the scratch directory is gone whatever happened";
    ::unsetenv("TMPDIR");
    fs::remove_all(work_);
  }
  void refused(const std::string& mention) {
    try {
      compare_methods(job_, listener_);
      ADD_FAILURE() << "accepted, not refused for " << mention;
    } catch (const ConfigError& error) {
      EXPECT_THAT(describe(error), HasSubstr(mention));
    }
    EXPECT_EQ(listener_.begun, 0) << "work was begun";
  }

  fs::path work_;
  CompareJob job_;
  Listener listener_;
};

TEST_F(Compare, FiguresAreThoseOfARunAlone) {
  job_.methods = {"rtn", "searched=rtn"};
  job_.schemes = {{4, 64, true}, {3, 32, false}};
  job_.plugin_options = {{"searched", {{"grid", "mse"}}}};
  const CompareReport report = compare_methods(job_, listener_);
  ASSERT_EQ(report.rows.size(), 4u);
  EXPECT_EQ(report.failures(), 0u);
  const CompareRow& row = report.rows[3];
  EXPECT_EQ(row.label, "searched");
  EXPECT_EQ(row.scheme, job_.schemes[1]);

  QuantizeJob alone;
  alone.model = job_.model;
  alone.out = work_ / "alone";
  alone.method = "rtn";
  alone.plugin_options = {{"rtn", {{"grid", "mse"}}}};
  alone.plan.scheme = job_.schemes[1];
  const QuantizeReport quantized = quantize_checkpoint(alone, listener_);
  const OpenedModel reference = open_directory(job_.model);
  const EvalResult result =
      evaluate(*open_directory(alone.out).model, reference.model.get(), job_.windows, {});
  EXPECT_EQ(row.evaluation.model.perplexity, result.model.perplexity);
  EXPECT_EQ(row.evaluation.kl->mean_nats, result.kl->mean_nats);
  EXPECT_EQ(row.bits_per_weight, quantized.bits_per_weight());
  EXPECT_EQ(report.reference->perplexity, result.reference->perplexity);
  // That run, without calibration data, reports the weights' error.
  EXPECT_NE(row.mean_output_error(), quantized.mean_relative_error());
  EXPECT_NE(row.evaluation.model.perplexity, report.rows[1].evaluation.model.perplexity);
}

TEST_F(Compare, OfAMethodForWholeModelsBothPartsCount) {
  job_.methods = {"rtn", "both=requant"};
  QuantizeJob alone;
  alone.model = job_.model;
  alone.out = work_ / "alone";
  alone.method = "requant";
  alone.plugin_options["requant"] = {{"base", "rtn"}, {"exponents", "0"}, {"ranking", "magnitude"}};
  alone.plan.scheme = job_.schemes[0];
  alone.calibration = job_.calibration;
  job_.plugin_options["both"] = alone.plugin_options["requant"];
  const CompareReport report = compare_methods(job_, listener_);
  ASSERT_EQ(report.failures(), 0u) << report.text();
  const CompareRow &dense = report.rows[0], &both = report.rows[1];
  const Json quantized = quantize_checkpoint(alone, listener_).to_json();
  for (const char* key : {"bits_per_weight", "sparse_bits_per_weight", "total_bits_per_weight"})
    EXPECT_EQ(both.to_json().at(key), quantized.at(key)) << key;
  EXPECT_EQ(both.bits_per_weight, dense.total_bits_per_weight());
  EXPECT_GT(both.total_bits_per_weight(), dense.total_bits_per_weight());
  EXPECT_THAT(report.text(), HasSubstr(fixed(both.total_bits_per_weight(), 3)));
  EXPECT_LT(both.evaluation.kl->mean_nats, dense.evaluation.kl->mean_nats);
  // Its report has the seconds of steps, and no sum over the runs of its base.
  for (const char* key : {"quantize_seconds", "mean_relative_output_error"}) {
    EXPECT_TRUE(dense.to_json().at(key).is_number()) << key;
    EXPECT_TRUE(both.to_json().at(key).is_null()) << key;
  }
  EXPECT_EQ(both.to_json().at("method_seconds").at("steps").size(), 2u);
  EXPECT_GT(both.run_seconds, 0);
  EXPECT_THAT(report.linears_text(), HasSubstr("rtn w4g64\n"));
}

TEST_F(Compare, RulesForLinearsHoldForEveryRun) {
  job_.overrides = {"o_proj:bits=8"};
  job_.skip = {"down_proj"};
  const CompareReport report = compare_methods(job_, listener_);
  for (const CompareRow& row : report.rows) {
    QuantizeJob alone;
    alone.model = job_.model;
    alone.out = work_ / ("alone-" + row.label);
    alone.method = row.method;
    alone.plan.scheme = job_.schemes[0];
    alone.plan.overrides = job_.overrides;
    alone.plan.skip = job_.skip;
    if (row.method != "rtn") alone.calibration = job_.calibration;
    EXPECT_EQ(row.output_bytes, quantize_checkpoint(alone, listener_).output_bytes) << row.label;
  }
  EXPECT_EQ(report.to_json().at("settings").at("override"), Json(job_.overrides));
}

// GPTQ sums its error column by column in another order.  The terms of tr(ΔW H ΔWᵀ) cancel, to a
// fortieth of their magnitudes at most: in · 2^-24 · 40 = 9e-4 for 384 inputs.
TEST_F(Compare, MeasuresOutputErrorsAsGptqDoesItself) {
  job_.methods = {"gptq"};
  const CompareReport report = compare_methods(job_, listener_);
  QuantizeJob alone;
  alone.model = job_.model;
  alone.out = work_ / "alone";
  alone.plan.scheme = job_.schemes[0];
  alone.calibration = job_.calibration;
  const QuantizeReport quantized = quantize_checkpoint(alone, listener_);
  ASSERT_EQ(report.rows[0].output_errors.size(), quantized.sites.size());
  for (size_t i = 0; i < quantized.sites.size(); ++i) {
    EXPECT_EQ(report.rows[0].output_errors[i].first, quantized.sites[i].name);
    const double own = quantized.sites[i].relative_error;
    EXPECT_NEAR(report.rows[0].output_errors[i].second, own, 1e-3 * own);
  }
}

// Learning changes codes after a linear was measured; its own figure is of other windows.
TEST_F(Compare, MeasuresARefinedBlockOnceMore) {
  QuantizeJob job;
  job.model = job_.model;
  job.method = "autoround";
  job.plugin_options = {{"autoround", {{"iterations", 5}, {"start", "rtn"}}}};
  job.plan.scheme = {3, 64, true};
  job.calibration = job_.calibration;
  const auto errors = [&](bool measure) {
    job.measure_outputs = measure;
    job.out = work_ / (measure ? "measured" : "own");
    return quantize_checkpoint(job, listener_);
  };
  const QuantizeReport own = errors(false), measured = errors(true);
  const OpenedModel model = open_directory(job.model), quantized = open_directory(job.out);
  // The first linears' inputs are those of the full-precision model, whatever is learned.
  const LinearSite first = model.model->sites().front();
  const auto windows = detail::read_calibration(job.calibration, job.model, model.model->config());
  StatisticSet gram({"gram"});
  const at::NoGradGuard no_grad;
  auto block = model.model->load_block(0);
  const at::Tensor states = embed_sequences(*model.model, windows.tokens, {});
  const SiteStats stats = collect_stages(*block, states, gram, {}).front();
  const QuantizedTensor weight =
      quantized.layout->unpack(first, job.plan.scheme, *quantized.checkpoint);
  const double expected = detail::relative_output_error(block->stages()[0].linears[0].weight(),
                                                        weight, stats.sum("gram"));
  EXPECT_NEAR(measured.sites[0].relative_error, expected, 1e-5 * expected);
  EXPECT_NE(own.sites[0].relative_error, measured.sites[0].relative_error);
}

TEST_F(Compare, ALowerOutputErrorThanRoundToNearestIsSeen) {
  const CompareReport report = compare_methods(job_, listener_);
  EXPECT_LT(report.rows[1].mean_output_error(), report.rows[0].mean_output_error());
}

TEST_F(Compare, ARunThatFailsIsARowThatSaysWhy) {
  job_.format = "gptq";
  job_.methods = {"rtn"};
  job_.schemes = {{4, 64, false}, {4, 64, true}};
  const CompareReport report = compare_methods(job_, listener_);
  EXPECT_EQ(report.failures(), 1u);
  EXPECT_THAT(report.rows[0].failure, HasSubstr("asymmetric"));
  EXPECT_EQ(report.rows[0].exit_code, UnsupportedError("").exit_code());
  EXPECT_EQ(report.rows[1].failure, "");
  EXPECT_EQ(report.rows[1].exit_code, 0);
  EXPECT_THAT(report.text(), HasSubstr("rtn w4g64-asym has no figures: "));
  EXPECT_TRUE(report.to_json().at("rows").at(0).contains("failure"));
  EXPECT_GT(report.to_json().at("rows").at(1).at("kl").at("mean_nats").get<double>(), 0);
  EXPECT_THAT(listener_.warnings, ElementsAre(HasSubstr("w4g64-asym")));
}

TEST_F(Compare, WhatIsWrongWithTheQuestionIsSaidBeforeAnyWork) {
  job_.methods = {"rtn", "gptp"};
  refused("gptp");
  job_.methods = {"rtn", "requant"};
  job_.plugin_options = {{"requant", {{"outliers", 9}}}};
  refused("outliers");
  job_.plugin_options = Json::object();
  job_.format = "gptp";
  refused("gptp");
  job_.format = "gptq";
  job_.calibration.files.clear();
  refused("calibration");
  job_.windows.windows.clear();
  refused("window");
}

TEST_F(Compare, AnInterruptionIsNoRow) {
  job_.methods = {"rtn"};  // no second run, which would be interrupted, too
  for (const char* part : {"quantizing", "evaluating"}) {
    Listener listener;
    listener.interrupted = part;
    try {
      compare_methods(job_, listener);
      ADD_FAILURE() << "not interrupted while " << part;
    } catch (const std::exception& error) {
      EXPECT_EQ(exit_code_of(error), InterruptedError("").exit_code()) << describe(error);
    }
    EXPECT_THAT(listener.warnings, testing::IsEmpty());
  }
}

TEST_F(Compare, RefusesBadRules) {
  job_.overrides = {"o_proj:bits=many"};
  refused("not an integer");
  job_.overrides.clear();
  job_.odd_shape = "round";
  refused("unknown policy");
}

TEST_F(Compare, SaysThatThereIsNoPlaceForTheCheckpoints) {
  ::setenv("TMPDIR", "/proc", 1);  // no directory can be made there
  EXPECT_THROW(compare_methods(job_, listener_), ResourceError);
  EXPECT_EQ(listener_.begun, 0);
}

TEST_F(Compare, KeepsTheCheckpointsWhereAskedTo) {
  job_.keep = work_ / "kept";
  const CompareReport report = compare_methods(job_, listener_);
  for (const char* name : {"rtn-w4g64", "gptq-w4g64"})
    EXPECT_EQ(open_directory(job_.keep / name).plan.size(), 28u) << name;
  listener_.begun = 0;
  refused("no empty directory");
  job_.model = job_.keep / "rtn-w4g64";
  job_.keep.clear();
  EXPECT_THROW(compare_methods(job_, listener_), UnsupportedError);
  EXPECT_EQ(listener_.begun, 0);
}

TEST_F(Compare, TablesHoldEveryLinearAndEveryRow) {
  job_.skip = {"layers.[0-2]"};
  const CompareReport report = compare_methods(job_, listener_);
  EXPECT_THAT(report.text(), HasSubstr("full precision: perplexity"));
  const std::string linears = report.linears_text();
  EXPECT_THAT(linears, HasSubstr("rtn w4g64  gptq w4g64"));
  EXPECT_EQ(std::count(linears.begin(), linears.end(), '\n'), 2 + 7);
}

}  // namespace
}  // namespace ptq
