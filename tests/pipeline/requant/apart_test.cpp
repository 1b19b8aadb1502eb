// Quantizing with single weights left out: QuantizeJob::apart.
#include <filesystem>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../../../src/pipeline/requant/quantized_direction.h"
#include "ptq/formats/open.h"
#include "ptq/pipeline/quantize.h"
#include "ptq/quant/sparse_places.h"

namespace ptq {
namespace {

namespace fs = std::filesystem;

struct Silent : ProgressListener {
  void begin(const std::string&, int64_t, int64_t) override {}
  void step(int64_t, const std::string&) override {}
  void note(const std::string&) override {}
  void warning(const std::string&) override {}
};

class Apart : public ::testing::Test {
 protected:
  void SetUp() override {
    work_ =
        fs::path(::testing::TempDir()) /
        (std::string("apart_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(work_);
    fs::create_directories(work_);
    job_.model = fs::path(PTQ_SOURCE_DIR) / "tests/data/tale-llama";
    job_.method = "rtn";
    job_.plan.scheme = {3, 64, true};
    job_.calibration.files = {job_.model / "calibration.txt"};
    job_.calibration.samples = 4;
    job_.calibration.seqlen = 32;
    model_ = open_directory(job_.model);
    for (const LinearSite& site : model_.model->sites())
      places_[site.name] = std::get<1>(weight(site).abs().view({-1}).topk(60)).clone();
    for (auto& entry : places_)
      entry.second = std::get<0>(entry.second.sort());
  }
  void TearDown() override { fs::remove_all(work_); }

  at::Tensor weight(const LinearSite& site) const {
    return model_.checkpoint->tensor(site.name + ".weight").to(at::kFloat);
  }

  OpenedModel quantized(const std::string& name) {
    job_.out = work_ / name;
    quantize_checkpoint(job_, listener_);
    return open_directory(job_.out);
  }

  fs::path work_;
  QuantizeJob job_;
  Silent listener_;
  OpenedModel model_;
  std::map<std::string, at::Tensor> places_;
};

TEST_F(Apart, TheLargestWeightsAreKeptAndTheOthersGetTheirRange) {
  const OpenedModel plain = quantized("plain");
  job_.apart = places_;
  const OpenedModel apart = quantized("apart");
  ASSERT_TRUE(apart.sparse);
  double plain_error = 0, apart_error = 0;
  for (const LinearSite& site : model_.model->sites()) {
    const at::Tensor original = weight(site), places = places_.at(site.name);
    const auto single = apart.sparse->find(site.name);
    ASSERT_TRUE(single) << site.name;
    EXPECT_TRUE(places_of(*single, site.in_features).equal(places));
    const at::Tensor dense =
        apart.layout->unpack(site, apart.plan.at(site.name), *apart.checkpoint).dequantize();
    // A zero is a point of every symmetric grid, so rounding to nearest makes nothing of it.
    EXPECT_EQ(dense.view({-1}).index_select(0, places).abs().max().item<float>(), 0);
    EXPECT_TRUE(single->values.equal(original.view({-1}).index_select(0, places)));
    apart_error += (single->placed_in(dense) - original).square().sum().item<double>();
    plain_error +=
        (plain.layout->unpack(site, plain.plan.at(site.name), *plain.checkpoint).dequantize() -
         original)
            .square()
            .sum()
            .item<double>();
  }
  EXPECT_LT(apart_error, plain_error);
}

TEST_F(Apart, WhatAMethodMadeOfTheZeroStaysInTheSum) {
  job_.method = "gptq";
  job_.apart = places_;
  const OpenedModel apart = quantized("apart");
  int64_t moved = 0;
  for (const LinearSite& site : model_.model->sites()) {
    const at::Tensor places = places_.at(site.name);
    const at::Tensor made = apart.layout->unpack(site, apart.plan.at(site.name), *apart.checkpoint)
                                .dequantize()
                                .view({-1})
                                .index_select(0, places);
    const at::Tensor whole = weight(site).view({-1}).index_select(0, places) + made;
    // Rounded once to the 16 bits that the model's own weights have.
    const at::Tensor stored =
        whole.to(model_.checkpoint->entry(site.name + ".weight").dtype).to(at::kFloat);
    EXPECT_TRUE(apart.sparse->find(site.name)->values.equal(stored)) << site.name;
    moved += (made != 0).sum().item<int64_t>();
  }
  EXPECT_GT(moved, 0) << "no zero was moved: the test shows nothing";
}

TEST_F(Apart, OfAMethodThatRefinesBlocksOrOfNoLinearIsAFault) {
  job_.apart = {{"model.layers.0.none", at::zeros({1}, at::kLong)}};
  EXPECT_THROW(quantized("none"), std::logic_error);
  job_.apart = places_;
  job_.method = "autoround";
  EXPECT_THROW(quantized("refined"), std::logic_error);
  job_.method = "rtn";
  job_.measure_outputs = true;
  EXPECT_THROW(quantized("measured"), std::logic_error);
}

TEST_F(Apart, AWayToADirectoryEndsAtItsWeightsButWhereTheyAreDetached) {
  job_.apart = places_;
  const OpenedModel apart = quantized("apart");
  const LinearSite site = model_.model->sites().at(2);
  const at::Tensor original = weight(site);
  const at::Tensor there = apart.sparse->find(site.name)->placed_in(
      apart.layout->unpack(site, apart.plan.at(site.name), *apart.checkpoint).dequantize());
  const at::Tensor detached = at::tensor({3, 77, 500}, at::kLong);
  const detail::QuantizedDirection way("key", job_.out, {{site.name, detached}});
  at::Tensor expected = there - original;
  expected.view({-1}).index_fill_(0, detached, 0);
  EXPECT_TRUE(way.of(site, original).equal(expected));
  EXPECT_EQ(way.key(), "key");
  LinearSite other = site;
  other.name = "lm_head";
  EXPECT_EQ(way.of(other, original).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace ptq
