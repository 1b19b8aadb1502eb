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

PartialDirectory::Place at(const std::filesystem::path& path) {
  return {path, {}, "sums"};
}

TEST(PartialDirectory, TakesItsNameWhenItIsComplete) {
  const Scratch scratch;
  // A separator at the end must not put the work inside the output.
  PartialDirectory partial(at(scratch / "out/"), identity(), !kResume, !kOverwrite);
  write_bytes(partial.work() / "sums", "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out/identity.json"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(at(scratch / "out"), identity(), kResume, !kOverwrite); }),
              HasSubstr("out\" exists"));
}

TEST(PartialDirectory, ReplacesAnOlderOutputThoughAnEarlierReplacementWasKilled) {
  const Scratch scratch;
  for (const char* left : {"out", "out.ptq-old"}) {
    std::filesystem::create_directories(scratch / left);
    write_bytes(scratch / left / "sums", "0");
  }
  PartialDirectory partial(at(scratch / "out"), identity(), !kResume, kOverwrite);
  write_bytes(partial.work() / "sums", "1");
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-old"));
}

TEST(PartialDirectory, KeepsASecondRunOut) {
  const Scratch scratch;
  std::optional<PartialDirectory> first;
  first.emplace(at(scratch / "out"), identity(), !kResume, !kOverwrite);
  const std::filesystem::path sums = first->work() / "sums";
  write_bytes(sums, "1");
  for (const bool resume : {true, false})
    EXPECT_THAT(message_of<ConfigError>(
                    [&] { PartialDirectory(at(scratch / "out"), identity(), resume, kOverwrite); }),
                HasSubstr("another run is writing to"));
  EXPECT_EQ(read_bytes(sums), "1");
  first.reset();  // as when the process is killed
  EXPECT_THAT(message_of<ConfigError>([&] {
                PartialDirectory(at(scratch / "out"), identity(), !kResume, !kOverwrite);
              }),
              HasSubstr("is an unfinished run"));
  EXPECT_THAT(message_of<ConfigError>([&] {
                PartialDirectory(at(scratch / "out"), {{"model", "bb"}}, kResume, false);
              }),
              HasSubstr("model (was \"aa\", is \"bb\")"));
  const PartialDirectory resumed(at(scratch / "out"), identity(), kResume, !kOverwrite);
  EXPECT_EQ(read_bytes(sums), "1");
}

TEST(PartialDirectory, StartsAfreshWhenToldTo) {
  const Scratch scratch;
  const std::filesystem::path work =
      PartialDirectory(at(scratch / "out"), {{"model", "bb"}}, !kResume, !kOverwrite).work();
  write_bytes(work / "sums", "1");
  const PartialDirectory fresh(at(scratch / "out"), identity(), !kResume, kOverwrite);
  EXPECT_FALSE(std::filesystem::exists(work / "sums"));
}

TEST(PartialDirectory, WorkWithoutAnIdentityBelongsToNothing) {
  const Scratch scratch;
  const std::filesystem::path work = scratch / "out.ptq-partial";
  std::filesystem::create_directories(work);
  write_bytes(work / "sums", "1");  // as a removal leaves it that was killed
  const PartialDirectory resumed(at(scratch / "out"), identity(), kResume, !kOverwrite);
  EXPECT_FALSE(std::filesystem::exists(work / "sums"));
}

TEST(PartialDirectory, ReplacesNothingButAnOutputOfItsKind) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "out");
  write_bytes(scratch / "out/letters", "dear");
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(at(scratch / "out"), identity(), !kResume, kOverwrite); }),
              HasSubstr("holds no sums"));
  write_bytes(scratch / "out/sums", "1");
  const PartialDirectory::Place onto_itself = {scratch / "out", scratch / "out", "sums"};
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(onto_itself, identity(), !kResume, kOverwrite); }),
              HasSubstr("is or holds the input"));
  EXPECT_EQ(read_bytes(scratch / "out/letters"), "dear");
}

TEST(PartialDirectory, KeepsTheWorkUnlessTheErrorWouldComeAgain) {
  const Scratch scratch;
  PartialDirectory partial(at(scratch / "out"), identity(), !kResume, !kOverwrite);
  write_bytes(partial.work() / "sums", "1");
  partial.discard_after(ptq::InterruptedError("stop"));
  EXPECT_TRUE(std::filesystem::exists(partial.work()));
  partial.discard_after(ptq::NumericalError("NaN"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
}

TEST(PartialDirectory, ARunThatDidNothingLeavesNothing) {
  const Scratch scratch;
  PartialDirectory partial(at(scratch / "out"), identity(), !kResume, !kOverwrite);
  partial.discard_after(ptq::ResourceError("the disk is too small"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
}

}  // namespace
