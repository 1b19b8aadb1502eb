#include "compressed_tensors_config.h"

#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

// The config that llm-compressor wrote for a Llama of two blocks (compressed-tensors 0.20), without
// "moe_sparsity_config", which releases before 0.20 refuse as unknown, and without activation
// order.
TEST(CompressedTensorsConfig, IsTheReferenceForAUniformPlan) {
  const FormatContext context = uniform_context(llama_sites(2), {4, 64, true});
  EXPECT_EQ(write_compressed_tensors_config(context), Json::parse(R"({
    "config_groups": {"group_0": {
      "format": "pack-quantized", "input_activations": null, "output_activations": null,
      "targets": ["Linear"],
      "weights": {"actorder": null, "dynamic": false, "group_size": 64, "num_bits": 4,
                  "observer": "memoryless_minmax", "strategy": "group", "symmetric": true,
                  "type": "int"}}},
    "format": "pack-quantized", "global_compression_ratio": null, "ignore": ["lm_head"],
    "kv_cache_scheme": null, "quant_method": "compressed-tensors",
    "quantization_status": "compressed", "sparsity_config": {}, "transform_config": {},
    "version": "0.20.0"})"));
}

TEST(CompressedTensorsConfig, MixedPlanNamesEveryLinear) {
  FormatContext context = uniform_context(
      {make_site("a", 8, 8), make_site("b", 8, 8), make_site("c", 8, 8)}, {4, 8, true});
  context.plan["b"] = {8, -1, false};
  context.plan.erase("c");
  const Json config = write_compressed_tensors_config(context);
  EXPECT_EQ(config.at("ignore"), Json({"lm_head", "c"}));
  const Json& groups = config.at("config_groups");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups.at("group_0").at("targets"), Json::array({"a"}));
  EXPECT_EQ(groups.at("group_1").at("targets"), Json::array({"b"}));
  const Json& weights = groups.at("group_1").at("weights");
  EXPECT_EQ(weights.at("strategy"), "channel");
  EXPECT_TRUE(weights.at("group_size").is_null());
  EXPECT_EQ(weights.at("symmetric"), false);
}

class CompressedTensorsPlan : public testing::Test {
 protected:
  CompressedTensorsPlan() {
    for (const char* name : {"m.0.a", "m.0.b", "m.1.a"}) {
      sites_.push_back(make_site(name, 64, 64));
      source_.tensors[std::string(name) + ".weight_packed"] = at::zeros({1});
    }
    add("group_0", {"Linear"}, 4);
  }
  void add(const std::string& group, const std::vector<std::string>& targets, int bits) {
    config_["config_groups"][group] = {
        {"targets", targets},
        {"weights", {{"num_bits", bits}, {"strategy", "group"}, {"group_size", 32}}}};
  }
  Json& weights() { return config_["config_groups"]["group_0"]["weights"]; }
  QuantPlan read() { return read_compressed_tensors_plan(config_, sites_, source_); }

  std::vector<LinearSite> sites_;
  MapSource source_{{}};
  Json config_ = {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}};
};

TEST_F(CompressedTensorsPlan, ExactNamesPrecedeExpressionsPrecedeClasses) {
  add("group_1", {"re:.*a$"}, 8);
  add("group_2", {"m.0.a"}, 2);
  EXPECT_EQ(
      read(),
      (QuantPlan{{"m.0.a", {2, 32, true}}, {"m.0.b", {4, 32, true}}, {"m.1.a", {8, 32, true}}}));
}

TEST_F(CompressedTensorsPlan, IgnoreTakesNamesAndExpressions) {
  config_["ignore"] = {"lm_head", "m.0.b", "re:m\\.1"};
  source_.tensors.erase("m.0.b.weight_packed");
  source_.tensors.erase("m.1.a.weight_packed");
  EXPECT_EQ(read(), (QuantPlan{{"m.0.a", {4, 32, true}}}));
}

TEST_F(CompressedTensorsPlan, ConfigAndTensorsMustAgree) {
  source_.tensors.erase("m.0.b.weight_packed");
  EXPECT_THROW(read(), FormatError);
  config_["ignore"] = {"m.0.b"};
  EXPECT_NO_THROW(read());
  config_["ignore"] = {"m.0.b", "m.0.a"};
  EXPECT_THROW(read(), FormatError);
}

TEST_F(CompressedTensorsPlan, ChannelStrategyIsOneScaleARow) {
  weights() = {{"num_bits", 8}, {"strategy", "channel"}, {"symmetric", false}};
  EXPECT_EQ(read().at("m.0.a"), (QuantScheme{8, -1, false}));
}

TEST_F(CompressedTensorsPlan, RefusesWhatChangesTheComputation) {
  const Json good = config_;
  const auto refuses = [&](const std::function<void()>& spoil) {
    config_ = good;
    spoil();
    EXPECT_THROW(read(), UnsupportedError) << config_.dump();
  };
  EXPECT_NO_THROW(read());
  refuses([&] { config_["format"] = "float-quantized"; });
  refuses([&] { config_["quantization_status"] = "frozen"; });
  refuses([&] { config_["kv_cache_scheme"] = {{"num_bits", 8}}; });
  refuses([&] { config_["transform_config"] = {{"config_groups", 1}}; });
  refuses([&] { config_["sparsity_config"] = {{"format", "sparse-24"}}; });
  refuses([&] { config_["config_groups"]["group_0"]["input_activations"] = {{"num_bits", 8}}; });
  refuses([&] { config_["config_groups"]["group_0"]["format"] = "nvfp4-pack-quantized"; });
  refuses([&] { config_["config_groups"]["group_0"].erase("weights"); });
  refuses([&] { config_["config_groups"]["W4A16"] = {"Linear"}; });
  refuses([&] { weights()["num_bits"] = 1; });
  refuses([&] { weights()["type"] = "float"; });
  refuses([&] { weights()["dynamic"] = true; });
  refuses([&] { weights()["strategy"] = "block"; });
  refuses([&] { config_["config_groups"]["group_0"]["targets"] = {"re:("}; });
}

TEST_F(CompressedTensorsPlan, RefusesMalformedFields) {
  weights()["group_size"] = 0;
  EXPECT_THROW(read(), FormatError);
  weights()["group_size"] = "32";
  EXPECT_THROW(read(), FormatError);
  config_["config_groups"] = Json::object();
  EXPECT_THROW(read(), FormatError);
}

// 10 values in a word, 3 bits: 20 values are two words packed either way.
TEST_F(CompressedTensorsPlan, RefusesOldFilesWhoseLayoutTheShapeCannotTell) {
  weights()["num_bits"] = 3;
  config_["version"] = "0.16.2";
  EXPECT_NO_THROW(read());
  for (LinearSite& site : sites_)
    site.in_features = 20;
  ASSERT_EQ(dense_words(20, 3), padded_words(20, 3));
  EXPECT_THROW(read(), UnsupportedError);
  for (const char* version : {"0.17.0", "0.20.1.dev3", "1.0"}) {
    config_["version"] = version;
    EXPECT_NO_THROW(read()) << version;
  }
  config_["version"] = "unknown";
  EXPECT_THROW(read(), UnsupportedError);
}

}  // namespace
}  // namespace ptq
