#include "ptq/report/quantize_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

ptq::SiteReport site(const std::string& name, int64_t out, int64_t in, int bits, double error) {
  ptq::SiteReport report;
  report.name = name;
  report.out_features = out;
  report.in_features = in;
  report.scheme = {bits, 64, true};
  report.relative_error = error;
  report.seconds = 1.5;
  return report;
}

TEST(SiteReport, SurvivesTheWayThroughJson) {
  ptq::SiteReport report = site("a", 2, 64, 3, 0.25);
  report.block = 7;
  report.details = {{"damping", 0.1}};
  report.fallbacks = {"one"};
  const ptq::SiteReport back = ptq::SiteReport::from_json(report.to_json());
  EXPECT_EQ(back.to_json(), report.to_json());
  EXPECT_EQ(back.scheme, report.scheme);
  EXPECT_EQ(back.block, 7);
  // Files without tables are as they were.
  EXPECT_FALSE(report.to_json().at("scheme").contains("lookup"));
  report.scheme = {3, -1, true, true};
  EXPECT_EQ(ptq::SiteReport::from_json(report.to_json()).scheme, report.scheme);
  EXPECT_THROW(ptq::SiteReport::from_json({{"name", 3}}), ptq::FormatError);
}

TEST(QuantizeReport, WeighsBitsByTheNumberOfWeights) {
  ptq::QuantizeReport report;
  report.sites = {site("a", 1, 64, 4, 0.1), site("b", 3, 64, 8, 0.3)};
  // One scale of 16 bits every 64 weights is a quarter of a bit.
  EXPECT_DOUBLE_EQ(report.bits_per_weight(), (4.25 + 3 * 8.25) / 4);
  EXPECT_DOUBLE_EQ(report.mean_relative_error(), 0.2);
}

TEST(QuantizeReport, CountsSingleWeightsBesideTheOthers) {
  ptq::QuantizeReport report;
  report.sites = {site("a", 1, 64, 4, 0.1), site("b", 3, 64, 8, 0.3)};
  EXPECT_EQ(report.text().find("dense part alone"), std::string::npos);
  report.sites[1].sparse_values = 5;
  report.sites[1].sparse_bytes = 36;
  EXPECT_EQ(report.sparse_bytes(), 36);
  EXPECT_DOUBLE_EQ(report.sparse_bits_per_weight(), 8.0 * 36 / 256);
  EXPECT_EQ(report.to_json().at("total_bits_per_weight"),
            report.bits_per_weight() + report.sparse_bits_per_weight());
  EXPECT_THAT(report.text(), ::testing::HasSubstr("dense part alone"));
}

TEST(QuantizeReport, SurvivesTheWayThroughJson) {
  ptq::QuantizeReport report;
  report.settings = {{"method", "gptq"}};
  report.inputs = {{"files", {{"model.safetensors", "abc"}}}};
  report.calibration = {{"windows_used", 3}};
  report.sites = {site("a", 1, 64, 4, 0.1)};
  report.sites[0].sparse_values = 5;
  report.sites[0].sparse_bytes = 36;
  report.skipped = {"lm_head"};
  report.warnings = {"few tokens"};
  report.engines = {{"vLLM", true, "with a note"}};
  report.method = {{"base", "gptq"}};
  report.input_bytes = 7;
  report.output_bytes = 5;
  EXPECT_EQ(ptq::QuantizeReport::from_json(report.to_json()).to_json(), report.to_json());
  EXPECT_THROW(ptq::QuantizeReport::from_json({{"settings", 3}}), ptq::FormatError);
}

TEST(QuantizeReport, KeepsTimeOutOfWhatMustBeReproducible) {
  ptq::QuantizeReport report;
  report.sites = {site("a", 1, 64, 4, 0.1)};
  ptq::QuantizeReport later = report;
  later.sites[0].seconds = 99;
  later.wall_seconds = 99;
  later.peak_rss_bytes = 99;
  EXPECT_EQ(report.to_json(), later.to_json());
  EXPECT_NE(report.timing_json(), later.timing_json());
}

TEST(QuantizeReport, ListsTheWorstLinearsFirstAndCountsFallbacks) {
  ptq::QuantizeReport report;
  for (int i = 0; i < 12; ++i)
    report.sites.push_back(site("linear" + std::to_string(i), 1, 64, 4, i));
  report.sites[0].fallbacks = {"x", "y"};
  EXPECT_EQ(report.fallbacks(), 2);
  const std::string text = report.text();
  EXPECT_LT(text.find("linear11"), text.find("linear10"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("linear1 ")));
  EXPECT_THAT(text, testing::HasSubstr("12 linears quantized, 0 left as they were, 2 fallbacks"));
}

}  // namespace
