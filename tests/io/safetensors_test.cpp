#include "ptq/io/safetensors.h"

#include <optional>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"
#include "ptq/io/memory.h"

namespace ptq {
namespace {
using test::message_of;
using test::read_bytes;
using test::Scratch;
using test::write_bytes;
using testing::HasSubstr;

std::string length_bytes(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

std::string file_of(const std::string& header, size_t data_bytes) {
  return length_bytes(header.size()) + header + std::string(data_bytes, '\1');
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::string(static_cast<const char*>(a.contiguous().data_ptr()), a.nbytes()) ==
             std::string(static_cast<const char*>(b.contiguous().data_ptr()), b.nbytes());
}

TEST(Safetensors, EveryDtypeComesBackBitForBit) {
  const Scratch scratch;
  std::map<std::string, at::Tensor> tensors;
  const at::Tensor bits = at::randint(0, 256, {3, 8 * 5}, at::kByte);
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                           at::kShort, at::kChar, at::kByte})
    tensors[std::string("a/") + c10::toString(dtype)] = bits.view(dtype);
  tensors["bool"] = bits > 100;
  tensors["scalar"] = at::full({}, 2.5);
  tensors["empty"] = at::empty({0, 7}, at::kHalf);
  tensors["transposed"] = at::arange(12).view({3, 4}).t();
  write_safetensors(scratch / "x.safetensors", tensors, {{"format", "pt"}});

  const SafetensorsFile file(scratch / "x.safetensors");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(same_bytes(file.tensor(name), tensor)) << name;
    EXPECT_EQ(file.entries().at(name).begin % tensor.element_size(), 0) << name;
  }
}

TEST(Safetensors, EqualTensorsGiveEqualFiles) {
  const Scratch scratch;
  const at::Tensor x = at::arange(6);
  write_safetensors(scratch / "a", {{"x", x}, {"y", x.to(at::kByte)}});
  write_safetensors(scratch / "b", {{"y", x.to(at::kByte)}, {"x", x.clone()}});
  EXPECT_EQ(read_bytes(scratch / "a"), read_bytes(scratch / "b"));
}

TEST(Safetensors, TensorsOutliveTheFileObject) {
  const Scratch scratch;
  write_safetensors(scratch / "x", {{"x", at::arange(1000)}});
  std::optional<SafetensorsFile> file(scratch / "x");
  const at::Tensor x = file->tensor("x");
  file.reset();
  EXPECT_TRUE(x.equal(at::arange(1000)));
}

TEST(Safetensors, ReleasedTensorsReadTheSame) {
  const Scratch scratch;
  const at::Tensor x = at::arange(1 << 16);
  write_safetensors(scratch / "x", {{"x", x}});
  const SafetensorsFile file(scratch / "x");
  const at::Tensor view = file.tensor("x");
  EXPECT_TRUE(view.equal(x));
  file.release("x");
  file.release("unknown");
  EXPECT_TRUE(view.equal(x));
}

TEST(Safetensors, MisalignedTensorsAreCopied) {
  const Scratch scratch;
  // The byte before it puts the float at an odd address.
  const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const float value = 1.5F;
  std::string bytes = file_of(header, 1);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  write_bytes(scratch / "x", bytes);
  const at::Tensor f = SafetensorsFile(scratch / "x").tensor("f");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f.data_ptr()) % sizeof value, 0U);
  EXPECT_EQ(f.item<float>(), value);
}

TEST(Safetensors, BoolsOtherThanOneReadAsTrue) {
  const Scratch scratch;
  const std::string header = R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  write_bytes(scratch / "x", length_bytes(header.size()) + header + std::string("\2\0\1", 3));
  const at::Tensor b = SafetensorsFile(scratch / "x").tensor("b");
  EXPECT_TRUE(b.equal(at::tensor({1, 0, 1}).to(at::kBool)));
}

TEST(Safetensors, AnAbsentTensorIsNamed) {
  const Scratch scratch;
  write_safetensors(scratch / "x", {{"x", at::ones({1})}});
  const SafetensorsFile file(scratch / "x");
  const std::string message = message_of<FormatError>([&] { file.tensor("model.norm.weight"); });
  EXPECT_THAT(message, HasSubstr("model.norm.weight"));
  EXPECT_THAT(message, HasSubstr((scratch / "x").string()));
}

TEST(Safetensors, ADtypeWithoutANameIsRefusedAndNothingIsWritten) {
  const Scratch scratch;
  EXPECT_THROW(write_safetensors(scratch / "x", {{"c", at::zeros({1}, at::kComplexFloat)}}),
               UnsupportedError);
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
}

struct Hostile {
  const char* fault;  ///< what the message must say
  std::string bytes;
};

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

std::string pair_of(const std::string& first, const std::string& second) {
  return R"({"v":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
         R"(},"w":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
}

std::vector<Hostile> broken_files() {
  const std::string huge = "[4294967296,4294967296]";
  return {
      {"is empty", ""},
      {"too few", "abc"},
      {"above the limit", length_bytes(UINT64_MAX)},
      {"above the limit", length_bytes(100'000'001) + "{}"},
      {"more than the file holds", length_bytes(64) + "{}"},
      {"not valid JSON", length_bytes(0)},
      {"not valid JSON", file_of("{\"w\":", 0)},
      {"not valid JSON", file_of("{} x", 0)},
      {"not valid JSON", file_of("{\"\xff\":1}", 0)},
      {"nested deeper", file_of(std::string(100'000, '['), 0)},
      {"not a JSON object", file_of("[]", 0)},
      {"given twice", file_of(R"({"__metadata__":{"a":"b","a":"c"}})", 0)},
      {"not an object", file_of(R"({"__metadata__":3})", 0)},
      {"not a string", file_of(R"({"__metadata__":{"a":3}})", 0)},
      {"\"w\": its entry is not an object", file_of(R"({"w":[]})", 0)},
      {"\"w\": dtype is missing", file_of(R"({"w":{}})", 0)},
      {"\"w\": dtype is not a string", file_of(R"({"w":{"dtype":1}})", 0)},
      {"\"w\": shape is missing", file_of(R"({"w":{"dtype":"U8"}})", 0)},
      {"\"w\": shape is not an array", file_of(entry("U8", "4", "[0,4]"), 4)},
      {"\"w\": a dimension is -4", file_of(entry("U8", "[-4]", "[0,4]"), 4)},
      {"\"w\": a dimension is 4.0", file_of(entry("U8", "[4.0]", "[0,4]"), 4)},
      {"\"w\": a dimension is", file_of(entry("U8", "[9223372036854775808]", "[0,4]"), 4)},
      {"overflows", file_of(entry("F32", huge, "[0,4]"), 4)},
      {"overflows", file_of(entry("U8", "[0,4294967296,4294967296]", "[0,0]"), 0)},
      {"overflows", file_of(entry("F64", "[1152921504606846976]", "[0,4]"), 4)},
      {"data_offsets is not a pair", file_of(entry("U8", "[4]", "[0,4,4]"), 4)},
      {"data_offsets is \"0\"", file_of(entry("U8", "[4]", R"(["0",4])"), 4)},
      {"after end", file_of(entry("U8", "[4]", "[4,0]"), 4)},
      {"needs 8", file_of(entry("F32", "[2]", "[0,4]"), 4)},
      {"may be cut off", file_of(entry("U8", "[4]", "[0,4]"), 3)},
      {"belong to no tensor", file_of(entry("U8", "[4]", "[0,4]"), 5)},
      {"leaves a hole", file_of(entry("U8", "[4]", "[1,5]"), 5)},
      {"\"w\" begins at byte 2 and overlaps", file_of(pair_of("[0,4]", "[2,6]"), 6)},
      {"overlaps", file_of(pair_of("[0,4]", "[0,4]"), 4)},
      {"leaves a hole after byte 4", file_of(pair_of("[0,4]", "[5,9]"), 9)},
  };
}

TEST(Safetensors, BrokenFilesAreRefusedByFileAndFault) {
  const Scratch scratch;
  const auto path = scratch / "model.safetensors";
  for (const Hostile& hostile : broken_files()) {
    write_bytes(path, hostile.bytes);
    std::string shown;
    try {
      const SafetensorsFile file(path);
      ADD_FAILURE() << "accepted, should be refused: " << hostile.fault;
    } catch (const FormatError& error) {
      shown = std::string(error.what()) + " " + error.hint();
    }
    EXPECT_THAT(shown, HasSubstr(hostile.fault));
    EXPECT_THAT(shown, HasSubstr(path.string()));
  }
}

TEST(Safetensors, UnknownDtypesAreRefusedByName) {
  const Scratch scratch;
  for (const char* dtype : {"F8_E4M3", "F8_E5M2", "U16", "C64", "bf16"}) {
    write_bytes(scratch / "x", file_of(entry(dtype, "[4]", "[0,4]"), 4));
    const std::string message =
        message_of<UnsupportedError>([&] { SafetensorsFile file(scratch / "x"); });
    EXPECT_THAT(message, HasSubstr(dtype));
  }
}

TEST(Safetensors, ADirectoryOrPipeIsNotAFile) {
  const Scratch scratch;
  EXPECT_THAT(message_of<FormatError>([&] { SafetensorsFile file(scratch / "."); }),
              HasSubstr("not a regular file"));
  EXPECT_THAT(message_of<ConfigError>([&] { SafetensorsFile file(scratch / "absent"); }),
              HasSubstr("absent"));
}

TEST(Safetensors, SharedModelIsWrittenAsItWasRead) {
  const std::filesystem::path path =
      PTQ_SOURCE_DIR "/../shared/data/models/TinyStories-656K/model.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no shared data";
  const Scratch scratch;
  const SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : file.entries())
    tensors[entry.first] = file.tensor(entry.first);
  write_safetensors(scratch / "x", tensors, file.metadata());
  const SafetensorsFile copy(scratch / "x");
  ASSERT_EQ(copy.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors)
    EXPECT_TRUE(same_bytes(copy.tensor(name), tensor)) << name;
}

}  // namespace
}  // namespace ptq
