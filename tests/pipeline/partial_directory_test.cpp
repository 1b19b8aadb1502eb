#include "../../src/pipeline/partial_directory.h"

#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"

namespace {

using ptq::ConfigError;
using ptq::Json;
using ptq::detail::PartialDirectory;
using ptq::test::message_of;
using ptq::test::read_bytes;
using ptq::test::Scratch;
using ptq::test::write_bytes;
using testing::HasSubstr;

constexpr bool kResume = true, kOverwrite = true;

const Json& identity() {
  static const Json identity = {{"model", "aa"}};
  return identity;
}

TEST(PartialDirectory, TakesItsNameWhenItIsComplete) {
  const Scratch scratch;
  // A separator at the end must not put the work inside the output.
  PartialDirectory partial(scratch / "out/", identity(), !kResume, !kOverwrite);
  write_bytes(partial.work() / "sums", "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out/identity.json"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(scratch / "out", identity(), kResume, !kOverwrite); }),
              HasSubstr("out exists"));
}

TEST(PartialDirectory, ReplacesAnOlderOutputThoughAnEarlierReplacementWasKilled) {
  const Scratch scratch;
  for (const char* left : {"out", "out.ptq-old"}) {
    std::filesystem::create_directories(scratch / left);
    write_bytes(scratch / left / "sums", "0");
  }
  PartialDirectory partial(scratch / "out", identity(), !kResume, kOverwrite);
  write_bytes(partial.work() / "sums", "1");
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-old"));
}

TEST(PartialDirectory, KeepsASecondRunOut) {
  const Scratch scratch;
  std::optional<PartialDirectory> first;
  first.emplace(scratch / "out", identity(), !kResume, !kOverwrite);
  const std::filesystem::path sums = first->work() / "sums";
  write_bytes(sums, "1");
  for (const bool resume : {true, false})
    EXPECT_THAT(message_of<ConfigError>(
                    [&] { PartialDirectory(scratch / "out", identity(), resume, kOverwrite); }),
                HasSubstr("another run is writing to"));
  EXPECT_EQ(read_bytes(sums), "1");
  first.reset();  // as when the process is killed
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(scratch / "out", identity(), !kResume, !kOverwrite); }),
              HasSubstr("is an unfinished run"));
  EXPECT_THAT(message_of<ConfigError>([&] {
                PartialDirectory(scratch / "out", {{"model", "bb"}}, kResume, false);
              }),
              HasSubstr("model (was \"aa\", is \"bb\")"));
  const PartialDirectory resumed(scratch / "out", identity(), kResume, !kOverwrite);
  EXPECT_EQ(read_bytes(sums), "1");
}

TEST(PartialDirectory, StartsAfreshWhenToldTo) {
  const Scratch scratch;
  const std::filesystem::path work =
      PartialDirectory(scratch / "out", {{"model", "bb"}}, !kResume, !kOverwrite).work();
  write_bytes(work / "sums", "1");
  const PartialDirectory fresh(scratch / "out", identity(), !kResume, kOverwrite);
  EXPECT_FALSE(std::filesystem::exists(work / "sums"));
}

TEST(PartialDirectory, KeepsTheWorkUnlessTheErrorWouldComeAgain) {
  const Scratch scratch;
  PartialDirectory partial(scratch / "out", identity(), !kResume, !kOverwrite);
  partial.discard_after(ptq::InterruptedError("stop"));
  EXPECT_TRUE(std::filesystem::exists(partial.work()));
  partial.discard_after(ptq::NumericalError("NaN"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
}

}  // namespace
