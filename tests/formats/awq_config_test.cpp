#include "awq_config.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

TEST(AwqConfig, HasTheFieldsReadersNeed) {
  for (const bool symmetric : {true, false})
    EXPECT_EQ(write_awq_config(uniform_context(llama_sites(2), {4, 64, symmetric})), Json::parse(R"(
      {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": 64, "zero_point": true,
       "modules_to_not_convert": null})"));
}

TEST(AwqConfig, ListsWhatIsLeftAlsoUnderFusedNames) {
  FormatContext context = uniform_context(llama_sites(1), {4, 64, true});
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    context.plan.erase(std::string("model.layers.0.self_attn.") + name);
  context.plan.erase("model.layers.0.mlp.up_proj");
  EXPECT_EQ(write_awq_config(context).at("modules_to_not_convert"), Json::parse(R"([
    "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
    "model.layers.0.self_attn.v_proj", "model.layers.0.mlp.up_proj",
    "model.layers.0.self_attn.qkv_proj"])"));
}

TEST(AwqConfig, ANameThatWouldLeaveOutAQuantizedLinearIsRefused) {
  const auto format = formats().make("awq");
  FormatContext context =
      uniform_context({make_site("m.gate", 8, 32), make_site("m.gate_proj", 8, 32)}, {4, 32, true});
  EXPECT_FALSE(format->unsupported(context));
  context.plan.erase("m.gate");
  const auto reason = format->unsupported(context);
  ASSERT_TRUE(reason.has_value());
  EXPECT_NE(reason->find("m.gate_proj"), std::string::npos);
  context.plan = {{"m.gate", {4, 32, true}}};
  EXPECT_FALSE(format->unsupported(context));
}

TEST(AwqConfig, OneGroupSizeIsForAll) {
  FormatContext context = uniform_context(llama_sites(1), {4, 64, true});
  context.plan["model.layers.0.mlp.up_proj"].symmetric = false;
  EXPECT_FALSE(formats().make("awq")->unsupported(context));
  context.plan["model.layers.0.mlp.up_proj"].group_size = 32;
  const auto reason = formats().make("awq")->unsupported(context);
  ASSERT_TRUE(reason.has_value());
  EXPECT_NE(reason->find("model.layers.0.mlp.up_proj"), std::string::npos);
}

class AwqPlan : public testing::Test {
 protected:
  QuantPlan read() { return read_awq_plan(config_, sites_, source_); }

  std::vector<LinearSite> sites_{make_site("m.0.a", 32, 32), make_site("m.1.a", 32, 32)};
  MapSource source_{{{"m.0.a.qweight", at::zeros({1})}, {"m.1.a.qweight", at::zeros({1})}}};
  Json config_ = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 32}, {"zero_point", true}};
};

TEST_F(AwqPlan, ReadsTheNamesOfAutoAwqToo) {
  const QuantPlan expected{{"m.0.a", {4, 32, false}}, {"m.1.a", {4, 32, false}}};
  EXPECT_EQ(read(), expected);
  config_ = {{"w_bit", 4}, {"q_group_size", 32}, {"version", "GEMM"}};
  EXPECT_EQ(read(), expected);
}

TEST_F(AwqPlan, IsSymmetricWithoutZeroPointsOrWithEightsOnly) {
  source_.tensors["m.0.a.qzeros"] = at::full({1, 4}, static_cast<int32_t>(0x88888888), at::kInt);
  source_.tensors["m.1.a.qzeros"] = at::full({1, 4}, static_cast<int32_t>(0x88888887), at::kInt);
  EXPECT_TRUE(read().at("m.0.a").symmetric);
  EXPECT_FALSE(read().at("m.1.a").symmetric);
  config_["zero_point"] = false;
  EXPECT_TRUE(read().at("m.1.a").symmetric);
}

TEST_F(AwqPlan, WhatIsStoredDecidesAndContradictionsAreFaults) {
  source_.tensors.erase("m.0.a.qweight");
  EXPECT_THROW(read(), FormatError);
  source_.tensors["m.0.a.weight"] = at::zeros({1});
  EXPECT_EQ(read().count("m.0.a"), 0u);
  config_["modules_to_not_convert"] = {"0.a"};
  EXPECT_EQ(read().count("m.1.a"), 1u);
  config_["modules_to_not_convert"] = {"1.a"};
  EXPECT_THROW(read(), FormatError);
}

TEST_F(AwqPlan, OtherLayoutsAreRefusedByName) {
  for (const char* version : {"gemv", "GEMV_Fast", "marlin"}) {
    config_["version"] = version;
    try {
      read();
      ADD_FAILURE() << version << " was read";
    } catch (const UnsupportedError& error) {
      EXPECT_NE(std::string(error.what()).find(version[0] == 'm' ? "marlin" : "gemv"),
                std::string::npos)
          << error.what();
    }
  }
}

TEST_F(AwqPlan, RefusesWrongFieldsByName) {
  config_["bits"] = 8;
  EXPECT_THROW(read(), UnsupportedError);
  config_["bits"] = "4";
  EXPECT_THROW(read(), FormatError);
  config_.erase("bits");
  EXPECT_THROW(read(), FormatError);
  config_["bits"] = 4;
  config_["group_size"] = 0;
  EXPECT_THROW(read(), FormatError);
  config_["group_size"] = 32;
  config_["modules_to_not_convert"] = "lm_head";
  EXPECT_THROW(read(), FormatError);
}

}  // namespace
}  // namespace ptq
