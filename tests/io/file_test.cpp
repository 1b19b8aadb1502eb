#include "ptq/io/file.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/scratch.h"
#include "ptq/io/json.h"
#include "ptq/io/memory.h"
#include "ptq/io/sha256.h"

namespace ptq {
namespace {
using test::message_of;
using test::read_bytes;
using test::Scratch;
using test::write_bytes;
using testing::HasSubstr;

/// While it lives, no file of this process grows beyond `bytes`, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_ = {};
  void (*handler_)(int) = nullptr;
};

TEST(File, AtomicWriteReplacesTheWholeContent) {
  const Scratch scratch;
  write_file_atomically(scratch / "x", "a long first content");
  write_file_atomically(scratch / "x", "second");
  EXPECT_EQ(read_bytes(scratch / "x"), "second");
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.tmp"));
}

TEST(File, AFullDiskLeavesTheOldContent) {
  const Scratch scratch;
  write_file_atomically(scratch / "x", "old");
  {
    const FullDisk full(1000);
    EXPECT_THROW(write_file_atomically(scratch / "x", std::string(5000, 'n')), ResourceError);
  }
  EXPECT_EQ(read_bytes(scratch / "x"), "old");
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.tmp"));
}

TEST(File, APlaceThatCannotBeWrittenIsTheUsersMistake) {
  const Scratch scratch;
  EXPECT_THROW(write_file_atomically(scratch / "absent/x", ""), ConfigError);
}

TEST(File, ReadingHasALimit) {
  const Scratch scratch;
  write_bytes(scratch / "x", "12345");
  EXPECT_EQ(read_text_file(scratch / "x", 5), "12345");
  EXPECT_THROW(read_text_file(scratch / "x", 4), FormatError);
  EXPECT_THROW(read_text_file(scratch / "absent"), ConfigError);
  EXPECT_THROW(read_text_file(scratch / "."), FormatError);
}

TEST(File, DiskSpaceIsAskedOfTheNearestParent) {
  const Scratch scratch;
  const auto path = scratch / "not/yet/there";
  const int64_t free_bytes = available_disk_bytes(path);
  EXPECT_GT(free_bytes, 0);
  EXPECT_NO_THROW(require_disk_space(path, 1));
  EXPECT_THROW(require_disk_space(path, INT64_MAX), ResourceError);
}

TEST(File, BytesOfADirectoryAreThoseOfItsFilesOnce) {
  const Scratch scratch;
  EXPECT_EQ(bytes_in(scratch / "absent"), 0);
  std::filesystem::create_directories(scratch / "below");
  write_bytes(scratch / "a", "12345");
  write_bytes(scratch / "below/b", "123");
  EXPECT_EQ(bytes_in(scratch / "."), 8);
  std::filesystem::create_hard_link(scratch / "below/b", scratch / "c");
  EXPECT_EQ(bytes_in(scratch / "."), 8);
  EXPECT_EQ(bytes_in(scratch / "below"), 3);  // whatever other names it has
}

TEST(Memory, PeakGrowsWithWhatIsTouched) {
  const int64_t before = peak_rss_bytes();
  EXPECT_GT(before, 0);
  constexpr int64_t kBytes = 64 << 20;
  const std::string block(static_cast<size_t>(before + kBytes), 'x');
  EXPECT_GE(peak_rss_bytes(), before + kBytes / 2);
  EXPECT_GE(physical_memory_bytes(), peak_rss_bytes());
  EXPECT_EQ(block.back(), 'x');
}

TEST(Sha256, GivesTheStandardsExamples) {
  // FIPS 180-4 examples, and the empty message.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, HashingAFileCanBeStoppedBetweenPieces) {
  const Scratch scratch;
  write_bytes(scratch / "x", std::string(5 << 20, 'q'));
  int calls = 0;
  const auto stop_at_third = [&calls] {
    if (++calls == 3) throw InterruptedError("interrupted");
  };
  EXPECT_THROW(sha256_file(scratch / "x", stop_at_third), InterruptedError);
  EXPECT_EQ(calls, 3);
}

TEST(Sha256, PiecesAndFilesGiveTheSame) {
  const Scratch scratch;
  const std::string text(3'000'000, 'q');
  write_bytes(scratch / "x", text);
  Sha256 hash;
  hash.update(text.substr(0, 7));
  hash.update(text.substr(7));
  EXPECT_EQ(hash.hex(), sha256_hex(text));
  EXPECT_EQ(sha256_file(scratch / "x"), sha256_hex(text));
  EXPECT_THROW(sha256_file(scratch / "absent"), ConfigError);
  EXPECT_THROW(hash.hex(), std::logic_error);
}

TEST(Json, ParsesAsNlohmannDoes) {
  const std::string text = R"({"a":[1,-2,3.5,true,null,{"b":"c","":[]}],"d":18446744073709551615})";
  EXPECT_EQ(parse_json(text, "here"), Json::parse(text));
  EXPECT_EQ(parse_json(" 3 ", "here"), Json(3));
}

TEST(Json, RefusesWhatIsAmbiguousOrBroken) {
  const auto message = [](const std::string& text) {
    return message_of<FormatError>([&] { parse_json(text, "here"); });
  };
  EXPECT_EQ(message(R"({"a":{"b":1,"c":2,"b":1}})"), "here: the key \"b\" is given twice");
  EXPECT_EQ(message("[1,]"), "here: not valid JSON at byte 4");
  EXPECT_THAT(message(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(message("{} {}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(message("[NaN]"), HasSubstr("not valid JSON"));
  EXPECT_THAT(message("[1e999]"), HasSubstr("too large"));
  EXPECT_THAT(message("\"\xc3\x28\""), HasSubstr("not valid JSON"));
  EXPECT_THAT(message(std::string(65, '[') + std::string(65, ']')), HasSubstr("nested deeper"));
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "here"));
}

TEST(Json, MessagesShowNoControlCharacters) {
  EXPECT_EQ(in_quotes("a\x1b[2J\n"), R"("a\u001b[2J\n")");
  EXPECT_EQ(in_quotes("\xff"), "\"\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace ptq
