#include "ptq/formats/open.h"

#include <fstream>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "packed_sites.h"
#include "ptq/core/error.h"
#include "ptq/io/safetensors.h"
#include "samples.h"

namespace ptq {
namespace {

namespace fs = std::filesystem;

/// A Llama of one block with random weights, written and changed by the tests.
class Open : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    directory_ =
        fs::path(testing::TempDir()) /
        (std::string("open_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    config_ = Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_act": "silu", "hidden_size": 128, "intermediate_size": 384,
      "max_position_embeddings": 64, "num_attention_heads": 4, "num_key_value_heads": 4,
      "num_hidden_layers": 1, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
      "tie_word_embeddings": true, "torch_dtype": "float32", "vocab_size": 96})");
    tensors_["model.embed_tokens.weight"] = at::randn({96, 128});
    tensors_["model.norm.weight"] = at::ones({128});
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      tensors_[std::string("model.layers.0.") + norm + ".weight"] = at::ones({128});
    for (const LinearSite& site : llama_sites(1)) {
      weights_[site.name] = random_weight({4, 32, true}, site.out_features, site.in_features);
      at::Tensor& scale = weights_[site.name].scale;
      scale = storable_scale(scale * 0x1p-6f, at::kBFloat16);
      tensors_[site.name + ".weight"] = weights_[site.name].dequantize();
    }
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// A directory that is not quantized, with other weights where `format` does not hold these.
  void fit_weights(const std::string& format) {
    fs::remove(directory_ / kSparseFile);
    config_.erase("quantization_config");
    config_.erase("ptq_sparse");
    const QuantScheme scheme = weights_.begin()->second.scheme;
    if (!formats().make(format)->unsupported(llama_sites(1).front(), scheme)) return;
    for (const LinearSite& site : llama_sites(1)) {
      QuantizedTensor& weight = weights_[site.name];
      weight = random_weight({4, -1, true, true}, site.out_features, site.in_features);
      weight.table = storable_entries(weight.table * 0x1p-6f);
      tensors_[site.name + ".weight"] = weight.dequantize();
    }
  }
  /// Replaces the weights by what `format` packs and adds its config.
  void quantize_as(const std::string& format) {
    const auto layout = formats().make(format);
    for (const LinearSite& site : llama_sites(1)) {
      tensors_.erase(site.name + ".weight");
      tensors_.merge(layout->pack(site, weights_.at(site.name), at::kFloat));
    }
    config_["quantization_config"] =
        layout->config(uniform_context(llama_sites(1), weights_.begin()->second.scheme));
  }
  OpenedModel open(const BackendSelection* backends = nullptr) {
    write_safetensors(directory_ / "model.safetensors", tensors_, {{"format", "pt"}});
    std::ofstream(directory_ / "config.json") << config_.dump();
    return open_directory(directory_, backends);
  }
  /// A hundredth of the weights of all but the last of `sites`.
  static SparseWeights sparse_of(const std::vector<LinearSite>& sites) {
    SparseWeights sparse;
    for (const LinearSite& site : sites)
      if (site.name != sites.back().name)
        sparse[site.name] =
            storable(random_sparse(site.out_features, site.in_features, 0.01), at::kFloat);
    return sparse;
  }
  void add_sparse(const SparseWeights& sparse) {
    write_sparse_part(directory_, sparse, llama_sites(1), at::kFloat);
    config_["ptq_sparse"] = sparse_config(sparse, llama_sites(1));
  }
  void refused_as(const std::string& words) {
    try {
      open();
      FAIL() << "opened";
    } catch (const UnsupportedError& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }

  fs::path directory_;
  Json config_;
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, QuantizedTensor> weights_;
};

TEST_F(Open, PackedWeightsGiveTheBitsOfDequantizedOnes) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::randint(0, 96, {1, 12}, at::kLong);
  quantize_as("compressed-tensors");
  const at::Tensor dequantized = run_model(*open().model, tokens);
  for (const char* name : {"auto", "cpu", "reference"}) {
    const BackendSelection backends(name);
    const OpenedModel packed = open(&backends);
    EXPECT_EQ(packed.backend_of().size(), 7U);
    EXPECT_TRUE(at::equal(run_model(*packed.model, tokens), dequantized)) << name;
    EXPECT_THROW(packed.model->load_block(0)->stages()[0].linears[0].weight(), std::logic_error);
  }
}

TEST_F(Open, ActivationOrderRunsOnPackedWeights) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::randint(0, 96, {1, 12}, at::kLong);
  quantize_as("gptq");
  for (const LinearSite& site : llama_sites(1))
    tensors_[site.name + ".g_idx"] =
        tensors_[site.name + ".g_idx"].index({at::randperm(site.in_features)});
  const at::Tensor dequantized = run_model(*open().model, tokens);
  const BackendSelection cpu("cpu");
  const at::Tensor packed = run_model(*open(&cpu).model, tokens);
  // Another order of summation in every product.
  EXPECT_LE((packed - dequantized).abs().max().item<float>(),
            1e-5F * dequantized.abs().max().item<float>());
}

TEST_F(Open, ABackendThatCannotRunALinearIsNamedWithTheReason) {
  for (const LinearSite& site : llama_sites(1))
    weights_[site.name] = random_weight({3, 32, true}, site.out_features, site.in_features);
  quantize_as("compressed-tensors");
  const BackendSelection cpu("cpu"), any("auto");
  EXPECT_EQ(open(&any).backend_of().begin()->second, "reference");
  try {
    open(&cpu);
    FAIL() << "opened";
  } catch (const std::exception& error) {
    EXPECT_EQ(exit_code_of(error), UnsupportedError("").exit_code());
    EXPECT_NE(describe(error).find("4-bit codes, not 3-bit"), std::string::npos);
    EXPECT_NE(describe(error).find("model.layers.0.self_attn.q_proj"), std::string::npos);
  }
}

TEST_F(Open, QuantizedDirectoryRunsAsTheFullPrecisionOneWithItsWeights) {
  const at::Tensor tokens = at::randint(0, 96, {1, 12}, at::kLong);
  const OpenedModel full = open();
  EXPECT_EQ(full.format, "");
  EXPECT_EQ(full.layout, nullptr);
  EXPECT_TRUE(full.plan.empty());
  const auto tensors = tensors_;
  const auto weights = weights_;
  for (const std::string& format : formats().names()) {
    tensors_ = tensors;
    weights_ = weights;
    fit_weights(format);
    const at::Tensor logits = run_model(*open().model, tokens);
    quantize_as(format);
    const OpenedModel quantized = open();
    EXPECT_EQ(quantized.format, format);
    EXPECT_EQ(quantized.plan.size(), 7u);
    EXPECT_TRUE(quantized.notes.empty());
    EXPECT_TRUE(run_model(*quantized.model, tokens).equal(logits)) << format;
  }
}

TEST_F(Open, SingleWeightsReplaceTheirDenseOnesInEveryFormatOnEveryBackend) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::randint(0, 96, {1, 12}, at::kLong);
  const SparseWeights sparse = sparse_of(llama_sites(1));
  const auto tensors = tensors_;
  const auto weights = weights_;
  for (const std::string& format : formats().names()) {
    tensors_ = tensors;
    weights_ = weights;
    fit_weights(format);
    for (const auto& [site, weight] : sparse)
      tensors_[site + ".weight"] = weight.placed_in(tensors_[site + ".weight"]);
    const auto dense = tensors_;
    const at::Tensor logits = run_model(*open().model, tokens);
    add_sparse(sparse);
    quantize_as(format);
    const OpenedModel dequantized = open();
    ASSERT_NE(dequantized.sparse, nullptr);
    EXPECT_EQ(dequantized.sparse->sites().size(), 6U);
    EXPECT_TRUE(run_model(*dequantized.model, tokens).equal(logits)) << format;
    for (const char* name : {"auto", "cpu", "reference"}) {
      const BackendSelection backends(name);
      const OpenedModel packed = open(&backends);
      // Another order of summation in every product.
      EXPECT_LE((run_model(*packed.model, tokens) - logits).abs().max().item<float>(),
                1e-5F * logits.abs().max().item<float>())
          << format << " on " << name;
      for (const LinearSite& site : llama_sites(1)) {
        const at::Tensor columns = at::empty({site.in_features, site.out_features});
        packed.packed->pack(site)->multiply(at::eye(site.in_features), columns);
        EXPECT_TRUE(columns.t().equal(dense.at(site.name + ".weight")))
            << format << " on " << name << ", " << site.name;
      }
    }
  }
}

TEST_F(Open, SingleWeightsAreNeverLostSilently) {
  const std::vector<LinearSite> sites = llama_sites(1);
  add_sparse(sparse_of(sites));
  EXPECT_THROW(open(), FormatError) << "the model is not quantized";
  quantize_as("gptq_v2");
  EXPECT_NO_THROW(open());
  const Json entry = config_["ptq_sparse"];
  config_.erase("ptq_sparse");
  EXPECT_THROW(open(), FormatError) << "config.json does not tell of the file";
  config_["ptq_sparse"] = entry;
  fs::remove(directory_ / kSparseFile);
  EXPECT_THROW(open(), FormatError) << "the file is missing";
}

TEST_F(Open, TellsWhereTheLabelWasNotBelieved) {
  quantize_as("gptq_v2");
  config_["quantization_config"]["checkpoint_format"] = "gptq";
  const OpenedModel opened = open();
  EXPECT_EQ(opened.format, "gptq");
  EXPECT_EQ(opened.notes.size(), 1u);
}

TEST_F(Open, ReadsTheConfigThatAutoGptqWroteBesideTheModel) {
  quantize_as("gptq");
  std::ofstream(directory_ / "quantize_config.json")
      << Json({{"bits", 4}, {"group_size", 32}, {"sym", true}, {"desc_act", false}}).dump();
  config_.erase("quantization_config");
  EXPECT_EQ(open().format, "gptq");
}

TEST_F(Open, ReadsTheConfigThatAutoAwqWroteBesideTheModel) {
  quantize_as("awq");
  std::ofstream(directory_ / "quant_config.json")
      << Json({{"w_bit", 4}, {"q_group_size", 32}, {"zero_point", true}, {"version", "GEMM"}})
             .dump();
  config_.erase("quantization_config");
  const OpenedModel opened = open();
  EXPECT_EQ(opened.format, "awq");
  EXPECT_EQ(opened.plan.begin()->second, (QuantScheme{4, 32, true}));
}

TEST_F(Open, PackedTensorsWithoutAConfigAreAFault) {
  quantize_as("gptq");
  config_.erase("quantization_config");
  EXPECT_THROW(open(), FormatError);
}

TEST_F(Open, RefusesOtherQuantizersByName) {
  for (const char* method : {"hqq", "bitsandbytes", "fp8"}) {
    config_["quantization_config"] = {{"quant_method", method}};
    refused_as(method);
  }
  config_["quantization_config"] = {
      {"quant_method", "gptq"}, {"checkpoint_format", "marlin"}, {"bits", 4}};
  refused_as("marlin");
  config_["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                    {"format", "float-quantized"}};
  refused_as("float-quantized");
}

TEST_F(Open, RefusesAMalformedConfig) {
  config_["quantization_config"] = Json::array();
  EXPECT_THROW(open(), FormatError);
  config_["quantization_config"] = {{"quant_method", 4}};
  EXPECT_THROW(open(), FormatError);
}

}  // namespace
}  // namespace ptq
