#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/pipeline/model_method.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<ModelMethod> named(const std::string& method) {
  QuantizeJob job;
  job.method = method;
  return model_method_of(job);
}

TEST(ModelMethods, AreToldFromQuantizers) {
  for (const std::string& name : model_methods().names())
    EXPECT_NE(named(name), nullptr) << name;
  for (const std::string& name : quantizers().names())
    EXPECT_EQ(named(name), nullptr) << name;
}

TEST(ModelMethods, AreListedWithQuantizersForANameThatIsNeither) {
  try {
    named("gptp");
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(describe(error), HasSubstr("unknown method \"gptp\""));
    for (const std::string& name : model_methods().names())
      EXPECT_THAT(describe(error), HasSubstr(name));
    for (const std::string& name : quantizers().names())
      EXPECT_THAT(describe(error), HasSubstr(name));
  }
}

TEST(ModelMethods, RequantReadsOfAStoreWhatItsBaseReads) {
  QuantizeJob job;
  job.method = "requant";
  const auto read = [&](const Json& options) {
    job.plugin_options = options;
    return model_method_of(job)->stored_statistics(job);
  };
  EXPECT_THAT(read({{"requant", {{"base", "gptq"}}}}), ::testing::IsEmpty());
  EXPECT_THAT(read({{"requant", {{"base", "kmeans"}}}}), ::testing::ElementsAre("fisher-sequence"));
  EXPECT_THAT(read({{"requant", {{"base", "kmeans"}}}, {"kmeans", {{"per", "token"}}}}),
              ::testing::ElementsAre("fisher-token"));
}

}  // namespace
}  // namespace ptq
