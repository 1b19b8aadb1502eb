#include "../../src/pipeline/gradient_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ptq::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

GradientStatistics of(const std::string& method, const Json& options = Json::object()) {
  return gradient_statistics(*quantizers().make(method, options));
}

TEST(GradientStatistics, AreReadInPlaceOfDataOrBesideIt) {
  EXPECT_THAT(of("kmeans").names, ElementsAre("fisher-sequence"));
  EXPECT_TRUE(of("kmeans").in_place);
  EXPECT_THAT(of("gptq", {{"hessian", "weighted"}}).names, ElementsAre("weighted-gram"));
  EXPECT_TRUE(of("gptq", {{"hessian", "weighted"}}).in_place);
  EXPECT_THAT(of("awq", {{"saliency", "fisher"}}).names, ElementsAre("fisher-sequence"));
  EXPECT_FALSE(of("awq", {{"saliency", "fisher"}}).in_place);
}

TEST(GradientStatistics, AreNotThoseThatARunCollects) {
  for (const char* method : {"rtn", "gptq", "awq", "autoround"})
    EXPECT_THAT(of(method).names, IsEmpty()) << method;
  EXPECT_THAT(of("kmeans", {{"weights", "none"}}).names, IsEmpty());
}

TEST(GradientStatistics, TakeTheDataFromARunOnlyWhereTheyStandForIt) {
  QuantizeJob job;
  job.calibration.files = {"text"};
  of("rtn").read_from("store", job);
  EXPECT_EQ(job.stats, "");
  of("awq", {{"saliency", "fisher"}}).read_from("store", job);
  EXPECT_EQ(job.stats, "store");
  EXPECT_THAT(job.calibration.files, ElementsAre("text"));
  of("kmeans").read_from("other", job);
  EXPECT_EQ(job.stats, "other");
  EXPECT_THAT(job.calibration.files, IsEmpty());
}

}  // namespace
}  // namespace ptq::detail
