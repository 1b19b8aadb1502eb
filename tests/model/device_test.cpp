// What runs on another device never meets a tensor of the CPU: shown on LibTorch's device "meta",
// which computes shapes only, refuses to mix with other devices, and needs no hardware.
#include "ptq/model/device.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"
#include "ptq/model/lm_head.h"
#include "ptq/model/matmul.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

using testing::random_tokens;
using testing::tiny_llama;
using testing::TinyLlamaOptions;
using testing::TinyModel;

const at::Device kMeta(at::kMeta);

std::vector<TinyModel> models() {
  TinyLlamaOptions options;
  options.model_type = "qwen3";  // norms of heads
  TinyModel qwen = tiny_llama(options);
  for (const char* block : {"0", "1"})
    for (const char* name : {"q_norm", "k_norm"})
      qwen.tensors[std::string("model.layers.") + block + ".self_attn." + name + ".weight"] =
          at::ones({options.head_dim});
  TinyLlamaOptions half;  // a head that is converted
  half.dtype = at::kBFloat16;
  half.tied = true;
  return {tiny_llama(), qwen, tiny_llama(half)};  // LibTorch 1.13 has no layer norm on "meta"
}

TEST(Device, AWholeModelStaysOnItsDevice) {
  const at::NoGradGuard no_grad;
  for (const TinyModel& tiny : models()) {
    const auto model = open_model(WeightSource{tiny.source(), nullptr, kMeta}, tiny.config);
    at::Tensor hidden = model->embed(random_tokens(2, 9, model->config().vocab));
    EXPECT_EQ(hidden.device(), kMeta);
    for (int64_t index = 0; index < model->config().blocks; ++index)
      hidden = model->load_block(index)->forward(hidden);
    EXPECT_EQ(hidden.device(), kMeta);
    LmHead head(*model);
    const at::Tensor logits = head.logits(hidden.reshape({18, -1}));
    EXPECT_EQ(logits.device(), kMeta);
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{18, model->config().vocab}));
  }
}

TEST(Device, ProductsStayOnTheirDevice) {
  const auto options = at::TensorOptions(at::kFloat).device(kMeta);
  const at::Tensor a = at::empty({6, 5}, options), b = at::empty({6, 4}, options);
  const at::Tensor sum = at::empty({5, 4}, options);
  EXPECT_NO_THROW(add_transposed_product(a, b, at::empty({6}, options), Part::kWhole, sum));
  EXPECT_NO_THROW(add_squared_product(a, b, sum));
  EXPECT_NO_THROW(add_squared_product_columns(a, b, at::empty({4}, options.dtype(at::kDouble))));
  EXPECT_EQ(matrix_product(b, at::empty({4, 3}, options)).device(), kMeta);
}

TEST(Device, NamesAreCheckedAndAMissingGpuIsAReason) {
  EXPECT_EQ(open_device("cpu"), at::Device(at::kCPU));
  EXPECT_THROW(open_device("tpu"), ConfigError);
  try {
    EXPECT_TRUE(open_device("cuda").is_cuda());
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("--device cuda: "));
  }
}

}  // namespace
}  // namespace ptq
