#include "ptq/report/table.h"

#include <stdexcept>

#include <gtest/gtest.h>

namespace {

TEST(Table, AlignsTheFirstColumnLeftAndTheOthersRight) {
  ptq::Table table({"name", "n"});
  table.add({"a", "1"});
  table.add({"longer", "1000"});
  EXPECT_EQ(table.text(), "name       n\n------------\na          1\nlonger  1000\n");
}

TEST(Table, CountsCharactersNotBytes) {
  ptq::Table table({"ä", "b"});
  table.add({"x", "1"});
  EXPECT_EQ(table.text(), "ä  b\n----\nx  1\n");
}

TEST(Table, RefusesARowOfAnotherLength) {
  ptq::Table table({"a", "b"});
  EXPECT_THROW(table.add({"1"}), std::logic_error);
}

TEST(Human, WritesBytesAndSeconds) {
  EXPECT_EQ(ptq::human_bytes(512), "512 B");
  EXPECT_EQ(ptq::human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(ptq::human_bytes(int64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(ptq::human_seconds(0.44), "0.4 s");
  EXPECT_EQ(ptq::human_seconds(65), "1:05 min");
  EXPECT_EQ(ptq::human_seconds(7390), "2:03:10 h");
  EXPECT_EQ(ptq::fixed(1.25, 1), "1.2");
}

}  // namespace
