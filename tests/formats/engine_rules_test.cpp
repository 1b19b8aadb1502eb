#include "engine_rules.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace ptq {
namespace {

EngineSupport judged(const std::string& format, const std::string& engine,
                     const FormatContext& context) {
  for (const EngineSupport& support : formats().make(format)->engines(context))
    if (support.engine == engine) return support;
  return {"missing", false, ""};
}

bool loads(const std::string& format, const std::string& engine, const FormatContext& context) {
  return judged(format, engine, context).loads;
}

FormatContext uniform(const QuantScheme& scheme) {
  return uniform_context(llama_sites(1), scheme);
}

// The table of docs/formats.md.
TEST(EngineRules, FollowTheTableForUniformSchemes) {
  for (const char* format : {"gptq", "gptq_v2", "compressed-tensors"})
    for (const int bits : {4, 8})
      for (const char* engine : {"vLLM", "transformers", "SGLang", "llama.cpp"})
        EXPECT_TRUE(loads(format, engine, uniform({bits, 32, true}))) << format << engine << bits;
  EXPECT_FALSE(loads("gptq_v2", "vLLM", uniform({4, 32, false})));
  EXPECT_FALSE(loads("gptq", "vLLM", uniform({3, 32, true})));
  EXPECT_TRUE(loads("gptq_v2", "transformers", uniform({3, 32, false})));
  EXPECT_FALSE(loads("gptq_v2", "llama.cpp", uniform({3, 32, true})));
  EXPECT_TRUE(loads("compressed-tensors", "vLLM", uniform({4, 32, false})));
  EXPECT_FALSE(loads("compressed-tensors", "vLLM", uniform({8, 32, false})));
  EXPECT_TRUE(loads("compressed-tensors", "SGLang", uniform({8, 32, false})));
  EXPECT_FALSE(loads("compressed-tensors", "SGLang", uniform({3, 32, true})));
  EXPECT_TRUE(loads("compressed-tensors", "transformers", uniform({7, 32, false})));
  EXPECT_FALSE(loads("compressed-tensors", "llama.cpp", uniform({3, 32, true})));
  EXPECT_FALSE(loads("compressed-tensors", "llama.cpp", uniform({4, -1, true})));
  EXPECT_TRUE(loads("gptq", "llama.cpp", uniform({4, -1, true})));
  for (const bool symmetric : {true, false})
    for (const char* engine : {"vLLM", "transformers", "SGLang"})
      EXPECT_TRUE(loads("awq", engine, uniform({4, 128, symmetric}))) << engine;
  EXPECT_FALSE(loads("awq", "llama.cpp", uniform({4, 128, false})));
  EXPECT_FALSE(loads("awq", "vLLM", uniform({4, 16, false})));
}

TEST(EngineRules, SayWhyNot) {
  EXPECT_EQ(judged("gptq", "vLLM", uniform({4, 16, true})).note,
            "group size 16 is not among -1, 32, 64, 128");
  EXPECT_NE(judged("gptq", "vLLM", uniform({3, 32, true})).note.find("3-bit symmetric"),
            std::string::npos);
}

TEST(EngineRules, NeedOneSchemeWithinAFusedSet) {
  FormatContext context = uniform_context(llama_sites(1), {4, 32, true});
  context.plan["model.layers.0.mlp.down_proj"] = {8, 32, true};
  EXPECT_TRUE(loads("gptq", "vLLM", context));
  EXPECT_TRUE(loads("compressed-tensors", "vLLM", context));
  EXPECT_FALSE(loads("compressed-tensors", "llama.cpp", context));
  EXPECT_FALSE(loads("gptq", "llama.cpp", context));
  context.plan["model.layers.0.self_attn.v_proj"] = {8, 32, true};
  EXPECT_EQ(judged("gptq", "vLLM", context).note,
            "the parts of model.layers.0.self_attn.qkv_proj need one scheme");
  EXPECT_TRUE(loads("gptq", "transformers", context));
}

TEST(EngineRules, LookAtTheShapesOfTheQuantizedLinearsOnly) {
  FormatContext context =
      uniform_context({make_site("a", 64, 128), make_site("b", 64, 192)}, {4, 32, true});
  EXPECT_EQ(judged("gptq", "vLLM", context).note, "b: 192 inputs are not a multiple of 128");
  context.plan.erase("b");
  EXPECT_TRUE(loads("gptq", "vLLM", context));
  context.sites[0].out_features = 96;
  EXPECT_EQ(judged("gptq", "vLLM", context).note, "a: 96 outputs are not a multiple of 64");
}

}  // namespace
}  // namespace ptq
