#include "gptq_config.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

TEST(GptqConfig, UniformPlanHasTheFieldsReadersNeed) {
  FormatContext context = uniform_context(llama_sites(2), {4, 64, true});
  context.method = {{"name", "gptq"}};
  const auto format = formats().make("gptq");
  const Json config = format->config(context);
  EXPECT_EQ(config, Json::parse(R"({
    "quant_method": "gptq", "checkpoint_format": "gptq", "format": "gptq", "bits": 4,
    "group_size": 64, "sym": true, "desc_act": false, "lm_head": false, "pack_dtype": "int32",
    "meta": {"quantizer": ["ptq:0.1.0"], "method": {"name": "gptq"}}})"));
  EXPECT_EQ(format->extra_files(context).at("quantize_config.json"), config);
  EXPECT_EQ(formats().make("gptq_v2")->config(context).at("checkpoint_format"), "gptq_v2");
}

TEST(GptqConfig, MixedPlanListsTheOthersAlsoUnderFusedNames) {
  FormatContext context = uniform_context(llama_sites(1), {4, 64, true});
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    context.plan[std::string("model.layers.0.self_attn.") + name] = {8, 32, true};
  context.plan.erase("model.layers.0.mlp.up_proj");
  EXPECT_EQ(formats().make("gptq")->config(context).at("dynamic"), Json::parse(R"({
    "+:^model\\.layers\\.0\\.self_attn\\.q_proj$": {"bits": 8, "group_size": 32, "sym": true},
    "+:^model\\.layers\\.0\\.self_attn\\.k_proj$": {"bits": 8, "group_size": 32, "sym": true},
    "+:^model\\.layers\\.0\\.self_attn\\.v_proj$": {"bits": 8, "group_size": 32, "sym": true},
    "+:^model\\.layers\\.0\\.self_attn\\.qkv_proj$": {"bits": 8, "group_size": 32, "sym": true},
    "-:^model\\.layers\\.0\\.mlp\\.up_proj$": {}})"));
}

TEST(GptqConfig, NamesTheCheckpointFormat) {
  EXPECT_EQ(gptq_checkpoint_format({{"quant_method", "gptq"}}), "gptq");
  EXPECT_EQ(gptq_checkpoint_format({{"quant_method", "gptq"}, {"format", "gptq_v2"}}), "gptq_v2");
  EXPECT_EQ(gptq_checkpoint_format({{"quant_method", "gptq"}, {"is_marlin_format", true}}),
            "marlin");
  EXPECT_EQ(gptq_checkpoint_format({{"quant_method", "awq"}}), "");
  EXPECT_THROW(gptq_checkpoint_format({{"quant_method", 3}}), FormatError);
}

class GptqPlan : public testing::Test {
 protected:
  QuantPlan read(const Json& config) { return read_gptq_plan(config, sites_, source_); }

  std::vector<LinearSite> sites_{make_site("m.0.a", 32, 32), make_site("m.1.a", 32, 32)};
  MapSource source_{{{"m.0.a.qweight", at::zeros({1})}, {"m.1.a.qweight", at::zeros({1})}}};
  Json config_ = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}, {"sym", true}};
};

TEST_F(GptqPlan, DynamicOverridesByExpression) {
  config_["dynamic"] = {{"+:.*\\.1\\.", {{"bits", 8}, {"group_size", 16}}}};
  EXPECT_EQ(read(config_), (QuantPlan{{"m.0.a", {4, 32, true}}, {"m.1.a", {8, 16, true}}}));
  config_["dynamic"] = {{"m\\.1", {{"bits", 8}}}};  // no prefix: as "+:"
  EXPECT_EQ(read(config_).at("m.1.a").bits, 8);
}

TEST_F(GptqPlan, ExpressionsThatDisagreeAreRefused) {
  config_["dynamic"] = {{"+:.*\\.1\\.", {{"bits", 8}}}, {"+:m", {{"bits", 2}}}};
  EXPECT_THROW(read(config_), UnsupportedError);
  config_["dynamic"] = {{"+:.*\\.1\\.", {{"bits", 8}}}, {"+:m\\.1", {{"bits", 8}}}};
  EXPECT_NO_THROW(read(config_));
}

TEST_F(GptqPlan, WhatIsStoredDecidesAndContradictionsAreFaults) {
  source_.tensors.erase("m.0.a.qweight");
  EXPECT_THROW(read(config_), FormatError);
  source_.tensors["m.0.a.weight"] = at::zeros({1});
  EXPECT_EQ(read(config_).count("m.0.a"), 0u);
  config_["dynamic"] = {{"-:m", Json::object()}};
  EXPECT_THROW(read(config_), FormatError);
}

TEST_F(GptqPlan, RefusesWrongFieldsByName) {
  config_["bits"] = 5;
  EXPECT_THROW(read(config_), UnsupportedError);
  config_["bits"] = "4";
  EXPECT_THROW(read(config_), FormatError);
  config_.erase("bits");
  EXPECT_THROW(read(config_), FormatError);
  config_["bits"] = 4;
  config_["group_size"] = 0;
  EXPECT_THROW(read(config_), FormatError);
  config_["group_size"] = 32;
  config_["pack_dtype"] = "int64";
  EXPECT_THROW(read(config_), UnsupportedError);
}

}  // namespace
}  // namespace ptq
