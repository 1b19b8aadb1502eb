#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/reference.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

TEST(MistralShared, MatchesReference) {
  testing::check_family("mistral-window");
}

TEST(Mistral, RefusesWhatOnlyLlamaHas) {
  testing::TinyLlamaOptions options;
  options.model_type = "mistral";
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    testing::TinyModel model = testing::tiny_llama(options);
    model.config[key] = true;
    try {
      open_model(model.source(), model.config);
      ADD_FAILURE() << key << " was accepted";
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(key));
    }
  }
}

TEST(Mistral, RefusesAWindowThatIsNotPositive) {
  testing::TinyLlamaOptions options;
  options.model_type = "mistral";
  testing::TinyModel model = testing::tiny_llama(options);
  model.config["sliding_window"] = 0;
  EXPECT_THROW(open_model(model.source(), model.config), FormatError);
}

}  // namespace
}  // namespace ptq
