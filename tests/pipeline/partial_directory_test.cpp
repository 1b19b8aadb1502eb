#include "../../src/pipeline/partial_directory.h"

#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"

namespace {

using ptq::ConfigError;
using ptq::Json;
using ptq::OutputDirectory;
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

OutputDirectory at(const std::filesystem::path& path, bool overwrite) {
  return {path, {}, "sums", "", overwrite};
}

TEST(PartialDirectory, TakesItsNameWhenItIsComplete) {
  const Scratch scratch;
  // A separator at the end must not put the work inside the output.
  PartialDirectory partial(at(scratch / "out/", !kOverwrite), identity(), !kResume);
  write_bytes(partial.work() / "sums", "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out/identity.json"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(at(scratch / "out", !kOverwrite), identity(), kResume); }),
              HasSubstr("out\" exists"));
}

TEST(PartialDirectory, ReplacesAnOlderOutputThoughAnEarlierReplacementWasKilled) {
  const Scratch scratch;
  for (const char* left : {"out", "out.ptq-old"}) {
    std::filesystem::create_directories(scratch / left);
    write_bytes(scratch / left / "sums", "0");
  }
  PartialDirectory partial(at(scratch / "out", kOverwrite), identity(), !kResume);
  write_bytes(partial.work() / "sums", "1");
  partial.finish();
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-old"));
}

TEST(PartialDirectory, KeepsASecondRunOut) {
  const Scratch scratch;
  std::optional<PartialDirectory> first;
  first.emplace(at(scratch / "out", !kOverwrite), identity(), !kResume);
  const std::filesystem::path sums = first->work() / "sums";
  write_bytes(sums, "1");
  for (const bool resume : {true, false})
    EXPECT_THAT(message_of<ConfigError>(
                    [&] { PartialDirectory(at(scratch / "out", kOverwrite), identity(), resume); }),
                HasSubstr("another run is writing to"));
  EXPECT_EQ(read_bytes(sums), "1");
  first.reset();  // as when the process is killed
  EXPECT_THAT(message_of<ConfigError>([&] {
                PartialDirectory(at(scratch / "out", !kOverwrite), identity(), !kResume);
              }),
              HasSubstr("is an unfinished run"));
  EXPECT_THAT(message_of<ConfigError>([&] {
                PartialDirectory(at(scratch / "out", false), {{"model", "bb"}}, kResume);
              }),
              HasSubstr("model (was \"aa\", is \"bb\")"));
  const PartialDirectory resumed(at(scratch / "out", !kOverwrite), identity(), kResume);
  EXPECT_EQ(read_bytes(sums), "1");
}

TEST(PartialDirectory, StartsAfreshWhenToldTo) {
  const Scratch scratch;
  const std::filesystem::path work =
      PartialDirectory(at(scratch / "out", !kOverwrite), {{"model", "bb"}}, !kResume).work();
  write_bytes(work / "sums", "1");
  const PartialDirectory fresh(at(scratch / "out", kOverwrite), identity(), !kResume);
  EXPECT_FALSE(std::filesystem::exists(work / "sums"));
}

TEST(PartialDirectory, WorkWithoutAnIdentityBelongsToNothing) {
  const Scratch scratch;
  const std::filesystem::path work = scratch / "out.ptq-partial";
  std::filesystem::create_directories(work);
  write_bytes(work / "identity.json.tmp", "{");  // killed while it was written
  PartialDirectory(at(scratch / "out", !kOverwrite), identity(), kResume);
  std::filesystem::remove(work / "identity.json");
  // As a removal leaves it that was killed, or another command.
  write_bytes(work / "sums", "1");
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(at(scratch / "out", !kOverwrite), identity(), kResume); }),
              HasSubstr("holds no identity.json"));
  EXPECT_TRUE(std::filesystem::exists(work / "sums"));
  const PartialDirectory fresh(at(scratch / "out", kOverwrite), identity(), !kResume);
  EXPECT_FALSE(std::filesystem::exists(work / "sums"));
}

TEST(PartialDirectory, AnOutputThatAppearsMeanwhileCostsNoWork) {
  const Scratch scratch;
  {
    PartialDirectory partial(at(scratch / "out", !kOverwrite), identity(), !kResume);
    write_bytes(partial.work() / "sums", "1");
    std::filesystem::create_directories(scratch / "out");
    write_bytes(scratch / "out/letters", "dear");
    EXPECT_THAT(message_of<ConfigError>([&] { partial.finish({"sums"}); }),
                HasSubstr("out\" exists"));
  }
  EXPECT_EQ(read_bytes(scratch / "out/letters"), "dear");
  std::filesystem::remove_all(scratch / "out");
  PartialDirectory resumed(at(scratch / "out", !kOverwrite), identity(), kResume);
  EXPECT_EQ(read_bytes(resumed.work() / "sums"), "1");
  write_bytes(resumed.work() / "state", "2");
  resumed.finish({"state"});
  EXPECT_EQ(read_bytes(scratch / "out/sums"), "1");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out/state"));
}

TEST(PartialDirectory, ReplacesNothingButAnOutputOfItsKind) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "out");
  write_bytes(scratch / "out/letters", "dear");
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { PartialDirectory(at(scratch / "out", kOverwrite), identity(), !kResume); }),
              HasSubstr("holds no sums"));
  write_bytes(scratch / "out/sums", "1");
  OutputDirectory output = at(scratch / "out", kOverwrite);
  output.format = "ptq";
  for (const char* marker : {"1", "{}", R"({"format": "other"})", "{"}) {
    write_bytes(scratch / "out/sums", marker);
    EXPECT_THAT(message_of<ConfigError>([&] { PartialDirectory(output, identity(), !kResume); }),
                HasSubstr("holds no sums"))
        << marker;
  }
  write_bytes(scratch / "out/sums", R"({"format": "ptq"})");
  output.inputs = {scratch / "elsewhere", scratch / "out/letters"};
  EXPECT_THAT(message_of<ConfigError>([&] { PartialDirectory(output, identity(), !kResume); }),
              HasSubstr("is or holds the input"));
  EXPECT_EQ(read_bytes(scratch / "out/letters"), "dear");
}

TEST(PartialDirectory, KeepsTheWorkUnlessTheErrorWouldComeAgain) {
  const Scratch scratch;
  PartialDirectory partial(at(scratch / "out", !kOverwrite), identity(), !kResume);
  write_bytes(partial.work() / "sums", "1");
  partial.discard_after(ptq::InterruptedError("stop"));
  EXPECT_TRUE(std::filesystem::exists(partial.work()));
  partial.discard_after(ptq::NumericalError("NaN"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
}

TEST(PartialDirectory, ARunThatDidNothingLeavesNothing) {
  const Scratch scratch;
  PartialDirectory partial(at(scratch / "out", !kOverwrite), identity(), !kResume);
  partial.discard_after(ptq::ResourceError("the disk is too small"));
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
}

TEST(PartialDirectory, IsGoneOnceItIsDiscarded) {
  const Scratch scratch;
  PartialDirectory partial(at(scratch / "out", !kOverwrite), identity(), !kResume);
  write_bytes(partial.work() / "sums", "1");
  partial.discard();
  EXPECT_FALSE(std::filesystem::exists(partial.work()));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

}  // namespace
