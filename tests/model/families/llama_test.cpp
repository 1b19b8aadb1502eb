#include <cstdlib>

#include <gtest/gtest.h>

#include "model/reference.h"

namespace ptq {
namespace {

using testing::check_family;
using testing::check_trained;
using testing::shared_data;

TEST(LlamaShared, MatchesReferenceUntied) {
  check_family("llama-untied");
}
TEST(LlamaShared, MatchesReferenceBiasHeadDim) {
  check_family("llama-bias-headdim");
}
TEST(LlamaShared, MatchesReferenceLinearRope) {
  check_family("llama-linear-rope");
}
TEST(LlamaShared, MatchesReferenceLlama3Rope) {
  check_family("llama3-rope");
}
TEST(LlamaShared, MatchesReferenceOddShapes) {
  check_family("llama-odd-shapes");
}

TEST(LlamaShared, MatchesReferenceOfTrainedModels) {
  for (const char* name : {"TinyStories-656K", "stories260K-hf"}) {
    const auto directory = shared_data() / "models" / name;
    check_trained(directory, directory / "reference.json");
  }
}

TEST(LlamaSlowShared, MatchesReferenceOfSmolLm2) {
  const char* directory = std::getenv("PTQ_SMOLLM2_DIR");
  if (directory == nullptr) GTEST_SKIP() << "PTQ_SMOLLM2_DIR is not set";
  check_trained(directory, shared_data() / "models/SmolLM2-135M/reference.json");
}

}  // namespace
}  // namespace ptq
