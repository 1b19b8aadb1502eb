#include "../../src/pipeline/validation.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/io/file.h"

namespace {

using ptq::MeasuredEffect;
using ptq::ValidationRequest;
using ptq::detail::LinearPredictions;
using ptq::detail::MeasurementRecord;
using ptq::detail::Measurements;
using ptq::detail::Prediction;
using ptq::detail::stratified_sample;
using ptq::detail::Unit;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Pair;
using testing::StartsWith;
using testing::TempDir;

struct Silent : ptq::ProgressListener {
  void begin(const std::string&, int64_t, int64_t) override {}
  void step(int64_t, const std::string&) override {}
  void note(const std::string&) override {}
  void warning(const std::string&) override {}
};

std::vector<double> counted(size_t count) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

TEST(StratifiedSample, HoldsTheTopPercentAndAsManyOfEveryTenth) {
  const std::vector<int64_t> chosen = stratified_sample(counted(500), 45, "a", 1);
  ASSERT_EQ(chosen.size(), 45U);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_EQ(std::set<int64_t>(chosen.begin(), chosen.end()).size(), 45U);
  EXPECT_THAT(chosen, IsSupersetOf({495, 496, 497, 498, 499}));
  std::vector<int> tenths(10);
  for (const int64_t place : chosen)
    if (place < 495) ++tenths[static_cast<size_t>(place * 10 / 495)];
  for (const int count : tenths)
    EXPECT_EQ(count, 4);
}

TEST(StratifiedSample, IsWholeWhereTenthsAreShorterThanTheirShare) {
  for (size_t all = 1; all < 30; ++all)
    for (int64_t count = 1; count <= static_cast<int64_t>(all); ++count) {
      const std::vector<int64_t> chosen = stratified_sample(counted(all), count, "a", 1);
      EXPECT_EQ(chosen.size(), static_cast<size_t>(count));
      EXPECT_EQ(std::set<int64_t>(chosen.begin(), chosen.end()).size(), chosen.size());
    }
}

TEST(StratifiedSample, DependsOnSeedAndNameAndTakesAllOfFew) {
  const std::vector<double> values = counted(300);
  EXPECT_EQ(stratified_sample(values, 20, "a", 1), stratified_sample(values, 20, "a", 1));
  EXPECT_NE(stratified_sample(values, 20, "a", 1), stratified_sample(values, 20, "a", 2));
  EXPECT_NE(stratified_sample(values, 20, "a", 1), stratified_sample(values, 20, "b", 1));
  EXPECT_THAT(stratified_sample({3, 1, 2}, 5, "a", 1), ElementsAre(0, 1, 2));
}

/// Two blocks of three linears with two sampled channels each; what is predicted of a channel is a
/// power of two of its own.
std::vector<LinearPredictions> some_linears() {
  std::vector<LinearPredictions> linears;
  double value = 1;
  for (int i = 0; i < 6; ++i) {
    LinearPredictions linear;
    linear.site = {"linear" + std::to_string(i), "input", i / 3, 0, 4, 4};
    for (const int64_t channel : {1, 3}) {
      linear.channels.push_back({channel, 1});
      linear.of_channels.push_back({{Prediction{10 * value, 0, value}, Prediction{-value, 0, {}}}});
      value *= 2;
    }
    linear.of_whole = {{Prediction{double(i), 0, double(i)}, Prediction{1, 0, {}}}};
    linears.push_back(linear);
  }
  return linears;
}

ValidationRequest some_request() {
  ValidationRequest request;
  request.units = {"channel", "linear", "block"};
  request.schemes.push_back({4, 64, true});
  request.scales = {2, 4};
  request.subsets = 3;
  return request;
}

const Unit& unit_named(const std::vector<Unit>& units, const std::string& kind,
                       const std::string& name) {
  for (const Unit& unit : units)
    if (unit.kind == kind && unit.name == name) return unit;
  throw std::logic_error("no unit " + name);
}

TEST(ValidationUnits, ABlockIsAllItsLinearsWhole) {
  const std::vector<Unit> units = ptq::detail::units_of(some_request(), some_linears());
  const Unit& block = unit_named(units, "block", "block 1");
  EXPECT_EQ(block.block, 1);
  ASSERT_EQ(block.parts.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(block.parts[i].linear, 3 + i);
    EXPECT_EQ(block.parts[i].columns.first, 0);
    EXPECT_EQ(block.parts[i].columns.count, 4);
  }
  EXPECT_EQ(block.predictions[0][0].predicted, 3.0 + 4.0 + 5.0);
  // One linear that is not predicted, and the sum is not either.
  EXPECT_EQ(block.predictions[0][1].predicted, std::nullopt);
  EXPECT_EQ(block.predictions[0][1].score, 3);
  EXPECT_EQ(unit_named(units, "channel", "linear4[3]").parts[0].columns.first, 3);
  EXPECT_EQ(units.size(), 12U + 6U + 2U + 2U);  // with a noise unit a block
}

TEST(ValidationUnits, SubsetsDoubleInSizeUpToTheWholeModel) {
  ValidationRequest request = some_request();
  const std::vector<Unit> subsets = ptq::detail::subsets_of(request, some_linears());
  std::vector<size_t> sizes;
  for (const Unit& subset : subsets) {
    std::set<size_t> linears;
    for (const Unit::Part& part : subset.parts)
      linears.insert(part.linear);
    EXPECT_EQ(linears.size(), subset.parts.size());
    sizes.push_back(subset.parts.size());
    EXPECT_EQ(subset.block, *linears.begin() < 3 ? 0 : 1);
  }
  EXPECT_THAT(sizes, ElementsAre(2, 2, 2, 4, 4, 4, 6));
  request.units = {"channel"};  // without single effects there is nothing to add
  EXPECT_TRUE(ptq::detail::subsets_of(request, some_linears()).empty());
}

/// Effects that are κ² times what the first estimator predicts.
Measurements quadratic(const ValidationRequest& request, const std::vector<Unit>& units) {
  Measurements measured;
  measured.effects.resize(1);
  for (const double scale : request.scales) {
    std::vector<MeasuredEffect> effects;
    for (const Unit& unit : units)
      effects.push_back({scale * scale * unit.predictions[0][0].predicted.value(),
                         -scale * unit.predictions[0][0].predicted.value()});
    measured.effects[0].push_back(effects);
  }
  return measured;
}

TEST(CompareUnits, AnExactPredictionHasSlopeOneAndNoBiasAtEveryScale) {
  const ValidationRequest request = some_request();
  const std::vector<Unit> units = ptq::detail::units_of(request, some_linears());
  Silent silent;
  const auto sets = ptq::detail::compare_units(request, units, quadratic(request, units),
                                               {"exact", "reversed"}, silent);
  ASSERT_EQ(sets.size(), 6U);
  for (const ptq::ValidationSet& set : {sets[0], sets[1]}) {
    EXPECT_EQ(set.units, 12);
    // Both have a score and a score times an error; only the first predicts.
    ASSERT_EQ(set.rows.size(), 5U);
    const ptq::ValidationRow& exact = set.rows[2];
    EXPECT_EQ(exact.basis, "predicted");
    EXPECT_DOUBLE_EQ(exact.pooled.spearman, 1);
    EXPECT_DOUBLE_EQ(exact.within.value().kendall, 1);
    EXPECT_NEAR(exact.pooled.log_slope, 1, 1e-12);
    EXPECT_NEAR(exact.pooled.log_bias, 0, 1e-12);
    EXPECT_DOUBLE_EQ(exact.nll_spearman, -1);
    EXPECT_EQ(set.rows[3].estimator, "reversed");
    EXPECT_DOUBLE_EQ(set.rows[3].pooled.spearman, -1);
  }
  EXPECT_TRUE(sets[0].scale_ratios.empty());
  EXPECT_THAT(sets[1].scale_ratios, ElementsAre(1, 1, 1));
  EXPECT_TRUE(sets[4].rows.empty());  // two blocks agree by chance
  EXPECT_FALSE(sets[2].rows[0].within.has_value());
}

TEST(CompareUnits, CountsUnitsThatNoiseReaches) {
  const ValidationRequest request = some_request();
  const std::vector<Unit> units = ptq::detail::units_of(request, some_linears());
  Measurements measured = quadratic(request, units);
  measured.noise_kl = 1;  // channels: 4, 8, 16, … at κ = 2, of which the first two are below 10
  Silent silent;
  const auto sets =
      ptq::detail::compare_units(request, units, measured, {"exact", "reversed"}, silent);
  EXPECT_EQ(sets[0].below_noise, 2);
  EXPECT_EQ(sets[1].below_noise, 0);
}

TEST(CompareSubsets, SumsSingleEffectsAndPredictionsOfItsLinears) {
  const ValidationRequest request = some_request();
  const auto linears = some_linears();
  const std::vector<Unit> units = ptq::detail::units_of(request, linears);
  const std::vector<Unit> subsets = ptq::detail::subsets_of(request, linears);
  Measurements measured = quadratic(request, units);
  measured.subsets = {std::vector<MeasuredEffect>(subsets.size(), MeasuredEffect{7, 8})};
  const auto found = ptq::detail::compare_subsets({request, linears, units, subsets}, measured,
                                                  {"exact", "reversed"});
  ASSERT_EQ(found.size(), subsets.size());
  const ptq::ValidationSubset& all = found.back();
  EXPECT_EQ(all.linears.size(), 6U);
  EXPECT_EQ(all.joint.kl, 7);
  EXPECT_EQ(all.sum_of_single.kl, 4 * 15);  // κ² (0 + 1 + … + 5)
  EXPECT_THAT(all.predicted, ElementsAre(Pair("exact", 4 * 15)));
}

TEST(PairsCsv, HasALineForEveryUnitSchemeAndScale) {
  const ValidationRequest request = some_request();
  const std::vector<Unit> units = ptq::detail::units_of(request, some_linears());
  const std::string text =
      ptq::detail::pairs_csv(request, units, quadratic(request, units), {"exact", "reversed"});
  EXPECT_THAT(text, StartsWith("kind,unit,scheme,scale,kl,nll_change,exact.score,exact.predicted,"
                               "reversed.score,reversed.predicted\n"));
  EXPECT_THAT(text, HasSubstr("\nchannel,linear0[3],w4g64,4,32,-8,20,2,-2,\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 20 * 2);
}

TEST(MeasurementRecord, GoesOnBehindALineThatWasCutOff) {
  const auto file = std::filesystem::path(TempDir()) / "ptq_measured.jsonl";
  std::filesystem::remove(file);
  MeasurementRecord(file).add("a", {0.1, -3e-17, {0.05, 0.15}});
  std::ofstream(file, std::ios::app) << R"({"unit":"b","k)";
  {
    MeasurementRecord record(file);
    EXPECT_EQ(record.find("a").value().kl, 0.1);
    EXPECT_EQ(record.find("a").value().nll, -3e-17);
    EXPECT_EQ(record.find("a").value().window_kl, (std::vector<double>{0.05, 0.15}));
    EXPECT_EQ(record.find("b"), std::nullopt);
    record.add("b", {2, 3});
  }
  EXPECT_EQ(MeasurementRecord(file).find("b").value().nll, 3);
  std::ofstream(file, std::ios::app) << "{\"unit\":\"c\"}\n";
  EXPECT_THROW(MeasurementRecord{file}, ptq::FormatError);
}

TEST(ValidationRequest, NamesWhatIsWrong) {
  const auto message = [](const std::function<void(ValidationRequest&)>& spoil) {
    ValidationRequest request = some_request();
    request.check();
    spoil(request);
    try {
      request.check();
    } catch (const ptq::ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message([](auto& r) { r.units.push_back("neuron"); }), HasSubstr("neuron"));
  EXPECT_THAT(message([](auto& r) { r.units.push_back("block"); }), HasSubstr("twice"));
  EXPECT_THAT(message([](auto& r) { r.scales = {-1}; }), HasSubstr("-1"));
  EXPECT_THAT(message([](auto& r) { r.scales = {NAN}; }), HasSubstr("--validate-scale"));
  EXPECT_THAT(message([](auto& r) { r.schemes.clear(); }), HasSubstr("--validate-bits"));
  EXPECT_THAT(message([](auto& r) { r.schemes[0].bits = 1; }), HasSubstr("bits"));
  EXPECT_THAT(message([](auto& r) { r.sample = 0; }), HasSubstr("--validate-sample"));
}

}  // namespace
