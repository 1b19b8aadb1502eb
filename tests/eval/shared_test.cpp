#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "ptq/eval/evaluate.h"
#include "ptq/io/checkpoint.h"
#include "ptq/io/dataset.h"
#include "ptq/io/json.h"
#include "ptq/io/tokenizer.h"

namespace ptq {
namespace {

std::filesystem::path shared_data() {
  return std::filesystem::path(PTQ_SOURCE_DIR) / ".." / "shared" / "data";
}

/// A directory's model and tokenizer.
struct Opened {
  explicit Opened(const std::filesystem::path& directory)
      : checkpoint(std::make_shared<Checkpoint>(directory)),
        model(open_model(checkpoint, checkpoint->config())),
        tokenizer(Tokenizer::open(directory)) {}
  std::shared_ptr<Checkpoint> checkpoint;
  std::unique_ptr<CausalLM> model;
  std::unique_ptr<Tokenizer> tokenizer;
};

/// The directory that PTQ_SMOLLM2_DIR names, if it and the shared data are there.
std::optional<std::filesystem::path> smollm2() {
  const char* directory = std::getenv("PTQ_SMOLLM2_DIR");
  if (directory == nullptr || !std::filesystem::exists(shared_data())) return {};
  return std::filesystem::path(directory);
}

std::string without_curly_quotes(std::string text) {
  const std::pair<const char*, const char*> pairs[] = {
      {"\u201c", "\""}, {"\u201d", "\""}, {"\u2018", "'"}, {"\u2019", "'"}};
  for (const auto& [curly, straight] : pairs)
    for (size_t at = text.find(curly); at != std::string::npos; at = text.find(curly))
      text.replace(at, 3, straight);
  return text;
}

std::string stripped(const std::string& text) {
  const char* blank = " \t\r\n";
  const size_t first = text.find_first_not_of(blank);
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(blank) + 1 - first);
}

/// The stories of calib-tiny.txt, as sensitivity and reference figures were made from them.
std::vector<std::string> stories() {
  std::ifstream file(shared_data() / "corpora" / "calib-tiny.txt");
  std::stringstream buffer;
  buffer << file.rdbuf();
  const std::string text = buffer.str();
  const std::string separator = "<|endoftext|>";
  std::vector<std::string> stories;
  for (size_t first = 0; first <= text.size();) {
    const size_t last = std::min(text.find(separator, first), text.size());
    stories.push_back(without_curly_quotes(stripped(text.substr(first, last - first))));
    first = last + separator.size();
  }
  return stories;
}

TEST(SharedEvaluate, MeetsTheFloat64ReferenceOfTinyStories) {
  if (!std::filesystem::exists(shared_data())) GTEST_SKIP() << "no shared data";
  const std::filesystem::path directory = shared_data() / "models" / "TinyStories-656K";
  const Opened opened(directory);
  const std::vector<std::string> texts = stories();
  WindowPlan plan;
  plan.protocol = "rows";
  for (size_t i = 1; i <= 40; ++i) {
    std::vector<int64_t> ids = opened.tokenizer->encode(texts.at(i).substr(0, 1000));
    if (ids.size() > 512) ids.resize(512);
    plan.seqlen = std::max(plan.seqlen, static_cast<int64_t>(ids.size()));
    plan.windows.push_back({ids, 1});
  }
  const Json reference = read_json_file(directory / "reference.json").at("nll");
  const EvalResult result = evaluate(*opened.model, nullptr, plan, {});
  EXPECT_EQ(result.model.scored_tokens, reference.at("tokens").get<int64_t>());
  // The reference is given to 1e-6; the rest is rounding of float32 logits.
  EXPECT_NEAR(result.model.mean_nll_nats, reference.at("nats_per_token").get<double>(), 2e-6);
}

TEST(SharedEvaluate, SlowMeetsTheFloat64ReferenceOfSmolLm2) {
  const auto directory = smollm2();
  if (!directory) GTEST_SKIP() << "PTQ_SMOLLM2_DIR is not set";
  const Opened opened(*directory);
  const std::vector<int64_t> tokens = load_tokens_text(
      shared_data() / "corpora" / "wiki.test.raw", *opened.tokenizer, opened.model->config().vocab);
  EXPECT_EQ(tokens.size(), 303415U);
  const EvalResult result =
      evaluate(*opened.model, nullptr, make_windows(tokens, {"gptq", 256, 256, 1}, {}), {});
  EXPECT_NEAR(result.model.mean_nll_nats, 3.531940266466488, 5e-6);
}

TEST(SharedEvaluate, SlowMeetsTransformersOnSmolLm2UnderTheGptqProtocol) {
  const auto directory = smollm2();
  if (!directory) GTEST_SKIP() << "PTQ_SMOLLM2_DIR is not set";
  const Opened opened(*directory);
  const std::vector<int64_t> tokens = load_tokens_text(
      shared_data() / "corpora" / "wiki.test.raw", *opened.tokenizer, opened.model->config().vocab);
  const EvalResult result =
      evaluate(*opened.model, nullptr, make_windows(tokens, {"gptq", 2048, 2048, 20}, {}), {});
  EXPECT_NEAR(result.model.perplexity, 20.84789, 0.002);
  RecordProperty("tokens_per_second",
                 std::to_string(static_cast<double>(result.tokens) / result.seconds));
}

}  // namespace
}  // namespace ptq
