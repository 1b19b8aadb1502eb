#include "ptq/eval/windows.h"

#include <numeric>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kBos = 1000;

/// Ids 0 … count-1, so that an id tells its place in the text.
std::vector<int64_t> text_of(int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

/// How often each token of a text made by text_of is a target.
std::vector<int> times_scored(const WindowPlan& plan, int64_t count) {
  std::vector<int> times(static_cast<size_t>(count), 0);
  for (const Window& window : plan.windows)
    for (auto i = static_cast<size_t>(window.first_scored); i < window.ids.size(); ++i)
      ++times.at(static_cast<size_t>(window.ids[i]));
  return times;
}

std::string fault_of(int64_t count, const PerplexityRequest& request) {
  try {
    make_windows(text_of(count), request, kBos);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(GptqWindows, AreSideBySideWithoutTheTail) {
  const WindowPlan plan = make_windows(text_of(11), {"gptq", 4, 1, -1}, kBos);
  ASSERT_EQ(plan.windows.size(), 2U);
  EXPECT_THAT(plan.windows[0].ids, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(plan.windows[1].ids, ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(plan.scored_tokens(), 2 * (4 - 1));
  EXPECT_EQ(plan.tokens(), 8);
  EXPECT_EQ(plan.stride, 4);
}

TEST(GptqWindows, UseAnExactFit) {
  EXPECT_EQ(make_windows(text_of(8), {"gptq", 4, 1, -1}, {}).windows.size(), 2U);
  EXPECT_EQ(make_windows(text_of(7), {"gptq", 4, 1, -1}, {}).windows.size(), 1U);
}

TEST(LlamaCppWindows, StartWithBosAndScoreTheSecondHalf) {
  const WindowPlan plan = make_windows(text_of(17), {"llama.cpp", 8, 1, -1}, kBos);
  ASSERT_EQ(plan.windows.size(), 2U);
  EXPECT_THAT(plan.windows[1].ids, ElementsAre(kBos, 9, 10, 11, 12, 13, 14, 15));
  // Logits at 4, 5, 6 predict the tokens at 5, 6, 7.
  EXPECT_EQ(plan.windows[1].first_scored, 5);
  EXPECT_EQ(plan.scored_tokens(), 2 * (8 - 8 / 2 - 1));
}

TEST(LlamaCppWindows, KeepTheFirstTokenWhereTheModelAddsNoBos) {
  const WindowPlan plan = make_windows(text_of(16), {"llama.cpp", 8, 1, -1}, {});
  EXPECT_EQ(plan.windows[1].ids.front(), 8);
}

TEST(LlamaCppWindows, Score255TargetsOf512AndNeedTwoWindows) {
  EXPECT_EQ(make_windows(text_of(1024), {"llama.cpp", 512, 1, -1}, {}).scored_tokens(), 2 * 255);
  const std::string fault = fault_of(1023, {"llama.cpp", 512, 1, -1});
  EXPECT_THAT(fault, HasSubstr("1023"));
  EXPECT_THAT(fault, HasSubstr("1024"));
}

TEST(SlidingWindows, ScoreEveryTokenButTheFirstOnce) {
  for (int64_t count = 2; count < 40; ++count)
    for (int64_t seqlen = 2; seqlen < 12; ++seqlen)
      for (int64_t stride = 1; stride < seqlen; ++stride) {
        const WindowPlan plan = make_windows(text_of(count), {"sliding", seqlen, stride, -1}, {});
        std::vector<int> expected(static_cast<size_t>(count), 1);
        expected[0] = 0;
        ASSERT_EQ(times_scored(plan, count), expected) << count << " " << seqlen << " " << stride;
      }
}

TEST(SlidingWindows, HaveFullContextWhereTheTextAllows) {
  const WindowPlan plan = make_windows(text_of(12), {"sliding", 6, 2, -1}, {});
  ASSERT_EQ(plan.windows.size(), 4U);
  EXPECT_THAT(plan.windows[1].ids, ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_EQ(plan.windows[1].first_scored, 4);
  EXPECT_EQ(plan.windows[3].ids.back(), 11);
}

TEST(SlidingWindows, WithStrideOfAWindowEqualGptqPlusTheTail) {
  const WindowPlan sliding = make_windows(text_of(11), {"sliding", 4, 4, -1}, {});
  const WindowPlan gptq = make_windows(text_of(8), {"gptq", 4, 1, -1}, {});
  ASSERT_EQ(sliding.windows.size(), 3U);
  for (size_t i = 0; i < gptq.windows.size(); ++i) {
    EXPECT_EQ(sliding.windows[i].ids, gptq.windows[i].ids);
    EXPECT_EQ(sliding.windows[i].first_scored, gptq.windows[i].first_scored);
  }
  // A tail of one token has no context.
  EXPECT_EQ(make_windows(text_of(9), {"sliding", 4, 4, -1}, {}).windows.size(), 2U);
}

TEST(Windows, AreLimitedToTheFirstAskedFor) {
  const WindowPlan plan = make_windows(text_of(100), {"gptq", 10, 1, 3}, {});
  EXPECT_EQ(plan.windows.size(), 3U);
  EXPECT_EQ(plan.windows_available, 10);
  EXPECT_EQ(plan.windows[2].ids.front(), 20);
}

TEST(Windows, RefuseWhatCannotBeCutNamingTheNumbers) {
  EXPECT_THAT(fault_of(5, {"gptq", 6, 1, -1}), HasSubstr("5 tokens"));
  EXPECT_THAT(fault_of(5, {"gptq", 6, 1, -1}), HasSubstr("at least 6"));
  EXPECT_THAT(fault_of(100, {"gptq", 10, 1, 11}), HasSubstr("gives 10"));
  EXPECT_THAT(fault_of(100, {"gptq", 10, 1, 0}), HasSubstr("must be positive"));
  EXPECT_THAT(fault_of(100, {"gptq", 1, 1, -1}), HasSubstr("at least 2"));
  EXPECT_THAT(fault_of(100, {"llama.cpp", 2, 1, -1}), HasSubstr("at least 3"));
  EXPECT_THAT(fault_of(100, {"sliding", 10, 0, -1}), HasSubstr("stride is 0"));
  EXPECT_THAT(fault_of(100, {"sliding", 10, 11, -1}), HasSubstr("stride is 11"));
  EXPECT_THAT(fault_of(100, {"lm-eval", 10, 1, -1}), HasSubstr("lm-eval"));
}

TEST(WindowsOfRows, ScoreAllNextTokensOfEachRow) {
  const WindowPlan plan = windows_of_rows(at::arange(12, at::kLong).reshape({3, 4}));
  ASSERT_EQ(plan.windows.size(), 3U);
  EXPECT_EQ(plan.protocol, "rows");
  EXPECT_THAT(plan.windows[1].ids, ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(plan.scored_tokens(), 9);
  EXPECT_EQ(windows_of_rows(at::arange(12, at::kLong).reshape({3, 4}), 2).windows.size(), 2U);
  EXPECT_THROW(windows_of_rows(at::zeros({3, 1}, at::kLong)), ConfigError);
  EXPECT_THROW(windows_of_rows(at::zeros({0, 4}, at::kLong)), ConfigError);
  EXPECT_THROW(windows_of_rows(at::zeros({3, 4}, at::kLong), 4), ConfigError);
}

TEST(WindowPlan, DigestTellsIdsCutAndTargetsApart) {
  const std::vector<int64_t> text = text_of(64);
  const std::string gptq = make_windows(text, {"gptq", 8, 1, -1}, {}).sha256();
  EXPECT_EQ(gptq, make_windows(text, {"gptq", 8, 7, -1}, {}).sha256());
  std::vector<int64_t> other = text;
  other[20] = 0;
  EXPECT_NE(gptq, make_windows(other, {"gptq", 8, 1, -1}, {}).sha256());
  EXPECT_NE(gptq, make_windows(text, {"gptq", 16, 1, -1}, {}).sha256());
  EXPECT_NE(gptq, make_windows(text, {"gptq", 8, 1, 7}, {}).sha256());
  EXPECT_NE(gptq, make_windows(text, {"llama.cpp", 8, 1, -1}, {}).sha256());
}

}  // namespace
}  // namespace ptq
