#include "ptq/eval/gates.h"

#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

EvalResult result_of(double perplexity) {
  EvalResult result;
  result.model.protocol = "gptq";
  result.model.seqlen = result.model.stride = 2048;
  result.model.windows = 20;
  result.model.scored_tokens = 20 * 2047;
  result.model.perplexity = perplexity;
  result.windows_sha256 = "abc";
  return result;
}

GateRequest against(double baseline, double tolerance) {
  GateRequest request;
  request.baseline = Baseline::from_result(result_of(baseline));
  request.tolerance = tolerance;
  return request;
}

std::filesystem::path file_with(const std::string& name, const std::string& content) {
  const std::filesystem::path path = testing::TempDir() + "ptq_gates_" + name;
  std::ofstream(path) << content;
  return path;
}

TEST(Gates, WithoutARequestThereAreNone) {
  EXPECT_TRUE(check_gates(result_of(10.0), {}).empty());
}

TEST(Gates, PassUpToTheLimitAndFailAbove) {
  GateRequest request;
  request.max_perplexity = 10.0;
  EXPECT_TRUE(check_gates(result_of(10.0), request).front().passed);
  const std::vector<GateOutcome> failed = check_gates(result_of(10.001), request);
  EXPECT_FALSE(failed.front().passed);
  EXPECT_THAT(failed.front().text, HasSubstr("10.001 is not within 10"));
  EXPECT_THROW(require_passed(failed), GateError);
  EXPECT_NO_THROW(require_passed(check_gates(result_of(10.0), request)));
}

TEST(Gates, NanAndInfinityNeverPass) {
  GateRequest request = against(10.0, 0.5);
  request.max_perplexity = 1e300;
  request.max_kl = 1e300;
  for (const double bad : {kNan, std::numeric_limits<double>::infinity()}) {
    EvalResult result = result_of(bad);
    result.kl.emplace().mean_nats = bad;
    const std::vector<GateOutcome> outcomes = check_gates(result, request);
    ASSERT_EQ(outcomes.size(), 3U);
    for (const GateOutcome& outcome : outcomes)
      EXPECT_FALSE(outcome.passed) << outcome.text;
  }
}

TEST(Gates, BaselineAllowsItsToleranceRelativeToItself) {
  EXPECT_TRUE(check_gates(result_of(20.19), against(20.0, 0.01)).front().passed);
  EXPECT_FALSE(check_gates(result_of(20.21), against(20.0, 0.01)).front().passed);
}

TEST(Gates, AnImprovementBeyondTheToleranceIsTold) {
  const GateOutcome better = check_gates(result_of(19.0), against(20.0, 0.01)).front();
  EXPECT_TRUE(better.passed);
  EXPECT_THAT(better.text, HasSubstr("better than the baseline by 5 %"));
  const GateOutcome same = check_gates(result_of(19.9), against(20.0, 0.01)).front();
  EXPECT_THAT(same.text, testing::Not(HasSubstr("better")));
}

TEST(Gates, ABaselineOfOtherWindowsIsRefusedByName) {
  const auto fault = [](const std::function<void(EvalResult&)>& change) {
    EvalResult result = result_of(20.0);
    change(result);
    try {
      check_gates(result, against(20.0, 0.01));
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(fault([](EvalResult& r) { r.model.protocol = "sliding"; }), HasSubstr("\"sliding\""));
  EXPECT_THAT(fault([](EvalResult& r) { r.model.seqlen = 512; }), HasSubstr("seqlen 512"));
  EXPECT_THAT(fault([](EvalResult& r) { r.model.stride = 512; }), HasSubstr("stride 512"));
  EXPECT_THAT(fault([](EvalResult& r) { r.model.windows = 3; }), HasSubstr("windows 3"));
  EXPECT_THAT(fault([](EvalResult& r) { r.windows_sha256 = "xyz"; }), HasSubstr("another text"));
}

TEST(Gates, LimitsMustBeFiniteAndNotNegativeAndKlNeedsAReference) {
  GateRequest request;
  request.max_kl = 0.1;
  EXPECT_THROW(check_gates(result_of(10.0), request), ConfigError);
  for (const double bad : {kNan, -1.0, std::numeric_limits<double>::infinity()}) {
    request = {};
    request.max_perplexity = bad;
    EXPECT_THROW(check_gates(result_of(10.0), request), ConfigError);
    EXPECT_THROW(check_gates(result_of(10.0), against(10.0, bad)), ConfigError);
  }
}

TEST(Baseline, ReadsBackWhatWasWritten) {
  const std::filesystem::path path = testing::TempDir() + "ptq_gates_round_trip.json";
  const EvalResult result = result_of(20.847891522192192);
  write_baseline(path, result);
  const Baseline baseline = read_baseline(path);
  EXPECT_EQ(baseline.perplexity, 20.847891522192192);
  GateRequest request;
  request.baseline = baseline;
  request.tolerance = 0.0;
  EXPECT_TRUE(check_gates(result, request).front().passed);
}

TEST(Baseline, ANonFinitePerplexityIsNotWritten) {
  const std::filesystem::path path = testing::TempDir() + "ptq_gates_nan.json";
  std::filesystem::remove(path);
  EXPECT_THROW(write_baseline(path, result_of(kNan)), NumericalError);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Baseline, ABrokenFileIsRefusedByField) {
  const std::filesystem::path good = testing::TempDir() + "ptq_gates_good.json";
  write_baseline(good, result_of(20.0));
  std::ifstream stream(good);
  const Json json = Json::parse(stream);
  for (const std::string key : {"kind", "version", "protocol", "seqlen", "stride", "windows",
                                "scored_tokens", "windows_sha256", "perplexity"}) {
    Json broken = json;
    broken[key] = nullptr;
    try {
      read_baseline(file_with("broken.json", broken.dump()));
      ADD_FAILURE() << key << " may be null";
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), HasSubstr(key));
      EXPECT_THAT(error.what(), HasSubstr("broken.json"));
    }
  }
  Json negative = json;
  negative["perplexity"] = -3.0;
  EXPECT_THROW(read_baseline(file_with("negative.json", negative.dump())), FormatError);
  EXPECT_THROW(read_baseline(file_with("list.json", "[]")), FormatError);
  EXPECT_THROW(read_baseline(file_with("version.json", "{\"kind\": \"other\"}")), FormatError);
  EXPECT_THROW(read_baseline(testing::TempDir() + "ptq_gates_absent.json"), ConfigError);
}

}  // namespace
}  // namespace ptq
