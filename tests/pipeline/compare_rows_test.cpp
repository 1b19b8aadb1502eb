#include "../../src/pipeline/compare_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq::detail {
namespace {

using ::testing::HasSubstr;

CompareJob job_of(const std::vector<std::string>& methods, const Json& options = Json::object()) {
  CompareJob job;
  job.methods = methods;
  job.schemes = {{4, 64, true}};
  job.plugin_options = options;
  job.calibration.files = {"text"};
  return job;
}

/// What the run of `method` is told where there is a store.
QuantizeJob told(const std::string& method, const Json& options = Json::object()) {
  CompareJob job = job_of({method});
  job.stats = "store";
  CompareRow row;
  row.label = row.method = method;
  row.options = options;
  return quantize_job(job, row, "out");
}

void refused(const CompareJob& job, const std::string& mention) {
  try {
    make_rows(job);
    ADD_FAILURE() << "accepted, not refused for " << mention;
  } catch (const ConfigError& error) {
    EXPECT_THAT(describe(error), HasSubstr(mention));
  }
}

TEST(CompareRows, AStoreIsForThoseThatReadIt) {
  EXPECT_EQ(told("rtn").stats, "");
  EXPECT_EQ(told("gptq").stats, "");
  EXPECT_EQ(told("requant", {{"base", "gptq"}}).stats, "");
  EXPECT_EQ(told("awq", {{"saliency", "fisher"}}).stats, "store");
  EXPECT_EQ(told("kmeans").stats, "store");
  EXPECT_EQ(told("requant", {{"base", "kmeans"}}).stats, "store");
}

TEST(CompareRows, ATextIsForAllButThoseThatReadAStoreInItsPlace) {
  EXPECT_TRUE(told("kmeans").calibration.files.empty());
  EXPECT_FALSE(told("kmeans", {{"weights", "none"}}).calibration.files.empty());
  EXPECT_FALSE(told("awq", {{"saliency", "fisher"}}).calibration.files.empty());
  EXPECT_FALSE(told("requant", {{"base", "kmeans"}}).calibration.files.empty());
}

TEST(CompareRows, OutputsAreMeasuredInTheOneRunOfAQuantizerOnTheText) {
  EXPECT_TRUE(told("rtn").measure_outputs);
  EXPECT_TRUE(told("awq", {{"saliency", "fisher"}}).measure_outputs);
  EXPECT_FALSE(told("kmeans").measure_outputs);
  EXPECT_FALSE(told("requant").measure_outputs);
}

TEST(CompareRows, KnowMethodsForWholeModelsAndTheirOptionsByLabel) {
  const auto rows = make_rows(job_of({"gptq", "rq=requant"}, {{"rq", {{"outliers", 0.2}}}}));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].label, "rq");
  const QuantizeJob run = quantize_job(job_of({}), rows[1], "out");
  EXPECT_EQ(run.method, "requant");
  EXPECT_EQ(run.plugin_options, (Json{{"requant", {{"outliers", 0.2}}}}));
}

TEST(CompareRows, RefuseUnknownNamesAndOptionsOfWholeModelsToo) {
  refused(job_of({"requent"}), "autoround, awq, gptq, kmeans, requant, rtn");
  refused(job_of({"rq=requant"}, {{"rq", {{"outliers", 9}}}}), "outliers");
  refused(job_of({"rq=requant"}, {{"rq", {{"outlier", 1}}}}), "unknown option \"outlier\"");
  refused(job_of({"rq=requant"}, {{"rq", {{"base", "requant"}}}}), "base");
  refused(job_of({"rq=requant"}, {{"requant", {{"outliers", 1}}}}), "no method has that label");
}

TEST(CompareRows, WantAStoreWhereNoRunCollectsWhatIsRead) {
  refused(job_of({"kmeans"}), "kmeans: with these options it reads fisher-sequence from a store");
  refused(job_of({"awq"}, {{"awq", {{"saliency", "fisher"}}}}), "awq: with these options it reads");
  const CompareJob collects = job_of({"rq=requant"}, {{"rq", {{"base", "kmeans"}}}});
  EXPECT_EQ(make_rows(collects).size(), 1u);
}

TEST(CompareRows, RefuseAStoreThatIsNotThereOrThatNoneReads) {
  CompareJob job = job_of({"rtn", "kmeans"});
  job.stats = std::filesystem::path(::testing::TempDir()) / "no-such-store";
  refused(job, "no-such-store");
  job = job_of({"rtn", "requant", "none=kmeans"}, {{"none", {{"weights", "none"}}}});
  job.stats = "store";
  refused(job, "no method here reads a store");
}

TEST(CompareRows, RefuseWhatIsTwiceOrMissing) {
  refused(job_of({"rtn", "rtn"}), "rtn is given twice");
  refused(job_of({}), "--methods");
  CompareJob job = job_of({"rtn"});
  job.schemes = {{4, 64, true}, {4, 64, true}};
  refused(job, "w4g64 is given twice");
  job.schemes = {{9, 64, true}};
  refused(job, "bits");
}

TEST(CompareRows, RefuseLabelsThatNameNoDirectoryAndOptionsOfNone) {
  for (const char* label : {"=rtn", "a/b=rtn", "..=rtn", "a.b=rtn"})
    refused(job_of({label}), "label");
  refused(job_of({"best=gptq"}, {{"gptq", {{"descent", 1}}}}), "--set gptq");
  refused(job_of({"best=gptq"}, {{"best", {{"no-such", 1}}}}), "no-such");
}

}  // namespace
}  // namespace ptq::detail
