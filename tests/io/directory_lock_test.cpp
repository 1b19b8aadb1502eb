#include "ptq/io/directory_lock.h"

#include <optional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"

namespace ptq {
namespace {
using test::message_of;
using test::Scratch;
using testing::HasSubstr;

TEST(DirectoryLock, IsHeldByOneAtATimeAndGoesWithIt) {
  const Scratch scratch;
  const std::filesystem::path directory = scratch / "work";
  std::filesystem::create_directories(directory);
  std::optional<DirectoryLock> first(directory);
  EXPECT_THAT(message_of<ConfigError>([&] { const DirectoryLock second(directory); }),
              HasSubstr("another run is writing to \"" + directory.string() + "\""));
  DirectoryLock moved(std::move(*first));
  first.reset();
  EXPECT_THROW(const DirectoryLock second(directory), ConfigError);
  std::filesystem::create_directories(scratch / "other");
  DirectoryLock other(scratch / "other");
  moved = std::move(other);
  EXPECT_NO_THROW(const DirectoryLock second(directory));
}

TEST(DirectoryLock, NeedsADirectory) {
  const Scratch scratch;
  EXPECT_THAT(message_of<ConfigError>([&] { const DirectoryLock lock(scratch / "absent"); }),
              HasSubstr("absent"));
}

}  // namespace
}  // namespace ptq
