#include "ptq/io/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"

namespace ptq {
namespace {
using test::message_of;
using test::Scratch;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

std::string index_of(const Json& weight_map) {
  return Json{{"weight_map", weight_map}}.dump();
}

/// A directory of two shards: a, b in one.safetensors and c in two.safetensors.
void write_two_shards(const Scratch& scratch) {
  write_bytes(scratch / "config.json", R"({"model_type":"llama"})");
  write_safetensors(scratch / "one.safetensors", {{"a", at::ones({2})}, {"b", at::zeros({3})}});
  write_safetensors(scratch / "two.safetensors", {{"c", at::arange(4)}});
  write_bytes(
      scratch / "model.safetensors.index.json",
      index_of({{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"c", "two.safetensors"}}));
}

TEST(Checkpoint, ReadsASingleFile) {
  const Scratch scratch;
  write_bytes(scratch / "config.json", R"({"model_type":"llama"})");
  write_safetensors(scratch / "model.safetensors", {{"a", at::arange(3)}});
  const Checkpoint checkpoint(scratch / "");
  EXPECT_EQ(checkpoint.config()["model_type"], "llama");
  EXPECT_TRUE(checkpoint.tensor("a").equal(at::arange(3)));
  EXPECT_THAT(checkpoint.tensor_files(), ElementsAre(scratch / "model.safetensors"));
}

TEST(Checkpoint, ReadsShards) {
  const Scratch scratch;
  write_two_shards(scratch);
  const Checkpoint checkpoint(scratch / "");
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(checkpoint.tensor("c").equal(at::arange(4)));
  EXPECT_THAT(checkpoint.entry("b").shape, ElementsAre(3));
  EXPECT_THAT(checkpoint.tensor_files(),
              ElementsAre(scratch / "one.safetensors", scratch / "two.safetensors"));
  EXPECT_FALSE(checkpoint.contains("d"));
  EXPECT_THAT(message_of<FormatError>([&] { checkpoint.tensor("d"); }), HasSubstr("\"d\""));
  EXPECT_THAT(message_of<FormatError>([&] { checkpoint.entry("d"); }), HasSubstr("\"d\""));
  checkpoint.release("c");
  checkpoint.release("d");
}

TEST(Checkpoint, FollowsSymbolicLinks) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "blobs");
  std::filesystem::create_directory(scratch / "model");
  write_bytes(scratch / "blobs/1", "{}");
  write_safetensors(scratch / "blobs/2", {{"a", at::arange(3)}});
  std::filesystem::create_symlink("../blobs/1", scratch / "model/config.json");
  std::filesystem::create_symlink("../blobs/2", scratch / "model/model.safetensors");
  EXPECT_TRUE(Checkpoint(scratch / "model").contains("a"));
}

TEST(Checkpoint, RefusesABrokenIndexByTensorAndFile) {
  const Scratch scratch;
  const auto message = [&](const std::string& index) {
    write_two_shards(scratch);
    write_bytes(scratch / "model.safetensors.index.json", index);
    return message_of<FormatError>([&] { Checkpoint checkpoint(scratch / ""); });
  };
  EXPECT_THAT(message("{"), HasSubstr("index.json\": not valid JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("no object weight_map"));
  EXPECT_THAT(message(R"({"weight_map":[]})"), HasSubstr("no object weight_map"));
  EXPECT_THAT(message(R"({"weight_map":{}})"), HasSubstr("is empty"));
  EXPECT_THAT(message(index_of({{"a", 1}})), HasSubstr("\"a\" is not a string"));
  for (const char* escape : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ""})
    EXPECT_THAT(message(index_of({{"a", escape}})), HasSubstr("not a file name")) << escape;
  EXPECT_THAT(message(index_of({{"a", "three.safetensors"}})),
              HasSubstr("\"three.safetensors\" is missing"));
  EXPECT_THAT(message(index_of({{"a", "one.safetensors"}})), HasSubstr("\"b\", which"));
  EXPECT_THAT(message(index_of({{"a", "one.safetensors"},
                                {"b", "one.safetensors"},
                                {"x", "two.safetensors"},
                                {"c", "two.safetensors"}})),
              HasSubstr("\"x\" into \"two.safetensors\""));
  EXPECT_THAT(message(index_of(
                  {{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"c", "two.safetensors"}})),
              HasSubstr("\"b\" into \"two.safetensors\""));
}

TEST(Checkpoint, RefusesATensorInTwoFiles) {
  const Scratch scratch;
  write_two_shards(scratch);
  write_safetensors(scratch / "two.safetensors", {{"a", at::ones({2})}, {"c", at::arange(4)}});
  const std::string message = message_of<FormatError>([&] { Checkpoint checkpoint(scratch / ""); });
  EXPECT_THAT(message, HasSubstr("\"a\" is in two files"));
}

TEST(Checkpoint, RefusesABrokenConfig) {
  const Scratch scratch;
  write_two_shards(scratch);
  const auto message = [&](const std::string& config) {
    write_bytes(scratch / "config.json", config);
    return message_of<FormatError>([&] { Checkpoint checkpoint(scratch / ""); });
  };
  EXPECT_THAT(message("nonsense"), HasSubstr("config.json\": not valid JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("not a JSON object"));
  std::filesystem::remove(scratch / "config.json");
  EXPECT_THAT(message_of<FormatError>([&] { Checkpoint checkpoint(scratch / ""); }),
              HasSubstr("no config.json"));
}

TEST(Checkpoint, NamesTheWayToConvertForeignWeights) {
  const std::map<std::string, std::string> ways = {
      {"pytorch_model.bin", "save_pretrained"},
      {"pytorch_model-00001-of-00002.bin", "save_pretrained"},
      {"model.Q4_0.gguf", "gguf_file"},
      {"consolidated.00.pth", "convert_llama_weights_to_hf"},
      {"adapter_model.safetensors", "merge_and_unload"},
      {"tf_model.h5", "save_pretrained"}};
  for (const auto& [name, way] : ways) {
    const Scratch scratch;
    write_bytes(scratch / "config.json", "{}");
    write_bytes(scratch / name, "x");
    try {
      const Checkpoint checkpoint(scratch / "");
      ADD_FAILURE() << name << " was accepted";
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
      EXPECT_THAT(error.hint(), HasSubstr(way));
    }
  }
}

TEST(Checkpoint, RefusesWhatIsNoModelDirectory) {
  const Scratch scratch;
  write_bytes(scratch / "model.gguf", "x");
  write_bytes(scratch / "model.safetensors", "x");
  std::filesystem::create_directory(scratch / "empty");
  EXPECT_THROW(Checkpoint(scratch / "absent"), ConfigError);
  EXPECT_THROW(Checkpoint(scratch / "model.safetensors"), ConfigError);
  EXPECT_THROW(Checkpoint(scratch / "model.gguf"), UnsupportedError);
  EXPECT_THROW(Checkpoint(scratch / "empty"), FormatError);
}

TEST(Checkpoint, RefusesAFileWithoutTensors) {
  const Scratch scratch;
  write_bytes(scratch / "config.json", "{}");
  write_safetensors(scratch / "model.safetensors", {});
  EXPECT_THAT(message_of<FormatError>([&] { Checkpoint checkpoint(scratch / ""); }),
              HasSubstr("holds no tensor"));
}

TEST(Checkpoint, SharedModelsOpen) {
  const std::filesystem::path models = PTQ_SOURCE_DIR "/../shared/data/models";
  if (!std::filesystem::exists(models)) GTEST_SKIP() << "no shared data";
  const Checkpoint tiny(models / "TinyStories-656K");
  EXPECT_EQ(tiny.tensor("lm_head.weight").sizes(), (at::IntArrayRef{2048, 128}));
  EXPECT_EQ(tiny.config()["hidden_size"], 128);
  EXPECT_TRUE(Checkpoint(models / "stories260K-hf").contains("model.norm.weight"));
}

}  // namespace
}  // namespace ptq
