#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/pipeline/quantize.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

struct NothingBegins : ProgressListener {
  void begin(const std::string& what, int64_t, int64_t) override { ADD_FAILURE() << what; }
  void step(int64_t, const std::string&) override {}
  void note(const std::string&) override {}
  void warning(const std::string&) override {}
};

TEST(Session, RefusesAMethodThatCannotRefineTheModelsBlocksBeforeAnyWork) {
  testing::TinyOptOptions norms_behind;
  norms_behind.norm_before = false;
  QuantizeJob job;
  job.model = std::filesystem::path(::testing::TempDir()) / "session_norms_behind";
  job.out = job.model / "out";
  job.method = "autoround";
  job.plan.scheme.group_size = 16;
  job.plugin_options = {{"autoround", {{"loss", "fisher"}}}};
  testing::tiny_opt(norms_behind).write(job.model);
  NothingBegins listener;
  EXPECT_THAT([&] { quantize_checkpoint(job, listener); },
              ::testing::ThrowsMessage<UnsupportedError>(::testing::HasSubstr("not a sum")));
  EXPECT_FALSE(std::filesystem::exists(job.out));
  // Elsewhere what is missing comes next.
  testing::tiny_opt().write(job.model);
  EXPECT_THROW(quantize_checkpoint(job, listener), ConfigError);
  std::filesystem::remove_all(job.model);
}

}  // namespace
}  // namespace ptq
