#include "ptq/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

using ::testing::HasSubstr;
using testing::tiny_llama;
using testing::tiny_opt;
using testing::TinyModel;

/// The message of the error of kind E that opening the tiny model with `key` set to `value` throws;
/// empty if none.
template <class E>
std::string fault(TinyModel model, const std::string& key, const Json& value) {
  model.config[key] = value;
  try {
    open_model(model.source(), model.config);
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

TEST(Config, ReadsBothSpellingsOfTransformers) {
  Json old = tiny_llama().config;
  old["rope_theta"] = 5000.0;
  old["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  old["torch_dtype"] = "bfloat16";
  Json now = tiny_llama().config;
  now.erase("rope_theta");
  now.erase("torch_dtype");
  now["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5000.0}};
  now["dtype"] = "bfloat16";
  for (const Json& config : {old, now}) {
    const ModelConfig model = ModelConfig::from_json(config);
    EXPECT_EQ(model.rope.type, "linear");
    EXPECT_EQ(model.rope.factor, 4.0);
    EXPECT_EQ(model.rope.theta, 5000.0);
    EXPECT_EQ(model.dtype, "bfloat16");
    EXPECT_EQ(model.kv_heads, 2);
    EXPECT_EQ(model.head_dim, 12);
  }
}

TEST(Config, FillsInWhatMayBeAbsent) {
  Json config = tiny_llama().config;
  for (const char* key : {"num_key_value_heads", "head_dim", "rope_theta", "torch_dtype"})
    config.erase(key);
  const ModelConfig model = ModelConfig::from_json(config);
  EXPECT_EQ(model.kv_heads, 4);
  EXPECT_EQ(model.head_dim, 12);
  EXPECT_EQ(model.rope.theta, 10000.0);
  EXPECT_EQ(model.rope.type, "default");
  EXPECT_EQ(model.dtype, "float32");
}

TEST(Config, RefusesMissingAndImpossibleSizesByName) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings"}) {
    for (const Json& value :
         std::vector<Json>{nullptr, 0, -4, 2.5, "8", true, 18446744073709551615U, int64_t{1} << 40,
                           Json::array()})
      EXPECT_THAT(fault<FormatError>(tiny_llama(), key, value), HasSubstr(key)) << value;
  }
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "num_key_value_heads", 3),
              HasSubstr("num_key_value_heads"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "head_dim", 0), HasSubstr("head_dim"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "head_dim", 11), HasSubstr("head_dim"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rms_norm_eps", 0), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rope_theta", -1), HasSubstr("rope_theta"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rope_scaling", 3), HasSubstr("rope_scaling"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "attention_bias", 1), HasSubstr("attention_bias"));
}

TEST(Config, RefusesHeadsThatDoNotDivideTheWidth) {
  TinyModel model = tiny_llama();
  model.config.erase("head_dim");
  model.config["num_key_value_heads"] = 1;
  EXPECT_THAT(fault<FormatError>(model, "num_attention_heads", 5),
              HasSubstr("num_attention_heads"));
}

TEST(Config, RefusesWhatChangesTheComputationByName) {
  const std::vector<std::pair<std::string, Json>> fields = {
      {"partial_rotary_factor", 0.5},
      {"attn_logit_softcapping", 50.0},
      {"logit_scale", 0.0625},
      {"embedding_multiplier", 12},
      {"clip_qkv", 8.0},
      {"num_local_experts", 8},
      {"hidden_act", "gelu"},
      {"sliding_window", 128},
      {"rope_interleaved", true},
      {"layer_types", {"full_attention", "linear_attention"}}};
  for (const auto& [key, value] : fields)
    EXPECT_THAT(fault<UnsupportedError>(tiny_llama(), key, value), HasSubstr(key));
  EXPECT_THAT(fault<UnsupportedError>(tiny_opt(), "activation_function", "gelu"),
              HasSubstr("activation_function"));
  EXPECT_THAT(fault<UnsupportedError>(tiny_opt(), "layer_norm_elementwise_affine", false),
              HasSubstr("layer_norm_elementwise_affine"));
  EXPECT_THAT(fault<UnsupportedError>(tiny_opt(), "num_key_value_heads", 2),
              HasSubstr("num_key_value_heads"));
}

TEST(Config, AcceptsFieldsThatChangeNothing) {
  TinyModel model = tiny_llama();
  model.config.update({{"pretraining_tp", 2},
                       {"attention_dropout", 0.1},
                       {"partial_rotary_factor", 1.0},
                       {"attn_logit_softcapping", nullptr},
                       {"rope_scaling", nullptr},
                       {"_name_or_path", "somewhere"}});
  EXPECT_NO_THROW(open_model(model.source(), model.config));
}

TEST(Config, RefusesUnknownRopeTypesAndFieldsByName) {
  const auto rope = [](const Json& value) {
    return fault<UnsupportedError>(tiny_llama(), "rope_scaling", value);
  };
  EXPECT_THAT(rope({{"rope_type", "yarn"}, {"factor", 4.0}}), HasSubstr("yarn"));
  EXPECT_THAT(rope({{"type", "dynamic"}, {"factor", 4.0}}), HasSubstr("dynamic"));
  EXPECT_THAT(rope({{"rope_type", "default"}, {"mrope_section", {2, 2, 2}}}),
              HasSubstr("mrope_section"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rope_scaling", {{"factor", 4.0}}),
              HasSubstr("type"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rope_scaling", {{"type", "linear"}}),
              HasSubstr("factor"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "rope_parameters",
                                 {{"rope_type", "llama3"},
                                  {"factor", 8.0},
                                  {"low_freq_factor", 4.0},
                                  {"high_freq_factor", 1.0}}),
              HasSubstr("high_freq_factor"));
}

TEST(Config, RefusesAnUnknownModelType) {
  EXPECT_THAT(fault<UnsupportedError>(tiny_llama(), "model_type", "gpt2"), HasSubstr("gpt2"));
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "model_type", nullptr), HasSubstr("model_type"));
  EXPECT_THROW(open_model(tiny_llama().source(), Json::array()), FormatError);
}

TEST(Config, LayerTypesMustFitTheBlocks) {
  EXPECT_THAT(fault<FormatError>(tiny_llama(), "layer_types", {"full_attention"}),
              HasSubstr("layer_types"));
}

}  // namespace
}  // namespace ptq
