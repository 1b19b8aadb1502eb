#include "ptq/io/checkpoint_writer.h"

#include <csignal>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/scratch.h"
#include "ptq/io/checkpoint.h"

namespace ptq {
namespace {
using test::message_of;
using test::read_bytes;
using test::Scratch;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

const Json kConfig = {{"model_type", "llama"}};

std::map<std::string, at::Tensor> shard_tensors(int index) {
  return {{"w" + std::to_string(index), at::full({2, 2}, index)}};
}

CheckpointWriterOptions to(const std::filesystem::path& directory, int shards = 2) {
  CheckpointWriterOptions options;
  options.directory = directory;
  options.shards = shards;
  return options;
}

void write_all(const CheckpointWriterOptions& options) {
  CheckpointWriter writer(options);
  for (int i = 0; i < options.shards; ++i)
    if (!writer.has_shard(i)) writer.add_shard(i, shard_tensors(i));
  writer.finish(kConfig);
}

/// Every file of a directory with its content.
std::map<std::string, std::string> contents(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files[entry.path().filename().string()] = read_bytes(entry.path());
  return files;
}

/// Runs `body` in a child process that then dies by SIGKILL.
template <class Body>
void run_and_kill(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    std::raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(CheckpointWriter, WritesWhatCheckpointReads) {
  const Scratch scratch;
  write_all(to(scratch / "out/"));
  const Checkpoint checkpoint(scratch / "out");
  EXPECT_EQ(checkpoint.config(), kConfig);
  EXPECT_THAT(checkpoint.names(), ElementsAre("w0", "w1"));
  EXPECT_TRUE(checkpoint.tensor("w1").equal(at::full({2, 2}, 1)));
  EXPECT_THAT(checkpoint.tensor_files(),
              ElementsAre(scratch / "out" / "model-00001-of-00002.safetensors",
                          scratch / "out" / "model-00002-of-00002.safetensors"));
  const Json index = Json::parse(read_bytes(scratch / "out/model.safetensors.index.json"));
  const size_t bytes = checkpoint.tensor("w0").nbytes() + checkpoint.tensor("w1").nbytes();
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  EXPECT_EQ(SafetensorsFile(checkpoint.tensor_files()[0]).metadata().at("format"), "pt");
}

TEST(CheckpointWriter, NothingIsAtTheOutputBeforeTheEnd) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out"));
  writer.add_shard(1, shard_tensors(1));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  EXPECT_THROW(writer.finish(kConfig), std::logic_error);
  writer.add_shard(0, shard_tensors(0));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  writer.finish(kConfig);
  EXPECT_TRUE(std::filesystem::exists(scratch / "out"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-partial"));
}

TEST(CheckpointWriter, AKilledRunResumesToTheSameBytes) {
  const Scratch scratch;
  write_all(to(scratch / "whole"));
  CheckpointWriterOptions options = to(scratch / "out");
  run_and_kill([&] {
    CheckpointWriter writer(options);
    writer.add_shard(0, shard_tensors(0));
    write_file_atomically(writer.partial_directory() / "progress.json", "{}");
    write_bytes(writer.partial_directory() / "model-00002-of-00002.safetensors.tmp", "half");
    write_bytes(writer.partial_directory() / "model-00002-of-00009.safetensors", "other");
  });
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  EXPECT_THAT(message_of<ConfigError>([&] { CheckpointWriter writer(options); }),
              HasSubstr("unfinished run"));
  options.resume = true;
  {
    const CheckpointWriter writer(options);
    EXPECT_TRUE(writer.has_shard(0));
    EXPECT_FALSE(writer.has_shard(1));
    EXPECT_EQ(read_bytes(writer.partial_directory() / "progress.json"), "{}");
  }
  write_all(options);
  EXPECT_EQ(contents(scratch / "out"), contents(scratch / "whole"));
}

TEST(CheckpointWriter, TheUnfinishedRunOfAnotherCommandStays) {
  const Scratch scratch;
  const std::filesystem::path partial = scratch / "out.ptq-partial";
  std::filesystem::create_directories(partial);
  for (const char* name : {"identity.json", "block-00000.safetensors"})
    write_bytes(partial / name, "1");
  CheckpointWriterOptions options = to(scratch / "out");
  options.resume = true;
  EXPECT_THAT(message_of<ConfigError>([&] { CheckpointWriter writer(options); }),
              HasSubstr("of another command"));
  EXPECT_TRUE(std::filesystem::exists(partial / "block-00000.safetensors"));
}

TEST(CheckpointWriter, ADamagedShardCountsAsMissing) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out"));
  writer.add_shard(0, shard_tensors(0));
  std::filesystem::resize_file(writer.shard_path(0), 20);
  EXPECT_FALSE(writer.has_shard(0));
  EXPECT_THROW(writer.shard_path(2), std::logic_error);
}

TEST(CheckpointWriter, AnExistingOutputStaysWithoutOverwrite) {
  const Scratch scratch;
  CheckpointWriterOptions options = to(scratch / "out");
  write_all(options);
  const auto before = contents(scratch / "out");
  EXPECT_THROW(CheckpointWriter{options}, ConfigError);
  options.resume = true;
  EXPECT_THROW(CheckpointWriter{options}, ConfigError);
  EXPECT_EQ(contents(scratch / "out"), before);
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-partial"));
}

TEST(CheckpointWriter, OverwriteReplacesOnlyAtTheEnd) {
  const Scratch scratch;
  write_all(to(scratch / "out"));
  const auto before = contents(scratch / "out");
  CheckpointWriterOptions options = to(scratch / "out", 1);
  options.overwrite = true;
  CheckpointWriter writer(options);
  writer.add_shard(0, {{"new", at::ones({1})}});
  EXPECT_EQ(contents(scratch / "out"), before);
  writer.finish(kConfig);
  EXPECT_THAT(Checkpoint(scratch / "out").names(), ElementsAre("new"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-old"));
}

TEST(CheckpointWriter, OverwriteStartsAnUnfinishedRunAfresh) {
  const Scratch scratch;
  CheckpointWriterOptions options = to(scratch / "out");
  CheckpointWriter(options).add_shard(0, {{"stale", at::ones({1})}});
  options.overwrite = true;
  EXPECT_FALSE(CheckpointWriter(options).has_shard(0));
}

TEST(CheckpointWriter, AnUnfinishedReplacementIsRefusedWithTheFlagsThatGoOnWithIt) {
  const Scratch scratch;
  CheckpointWriterOptions options = to(scratch / "out");
  write_all(options);
  options.overwrite = true;
  { CheckpointWriter(options).add_shard(0, shard_tensors(0)); }
  for (const bool resume : {false, true}) {
    CheckpointWriterOptions bare = to(scratch / "out");
    bare.resume = resume;
    try {
      CheckpointWriter writer(bare);
      FAIL() << "an output was replaced without --overwrite";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("unfinished"));
      EXPECT_THAT(error.hint(), HasSubstr("--resume --overwrite"));
    }
  }
  options.resume = true;
  EXPECT_TRUE(CheckpointWriter(options).has_shard(0));
  write_all(options);
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-partial"));
}

TEST(CheckpointWriter, TellsWhatAnUnfinishedRunSparesOfTheDisk) {
  const Scratch scratch;
  CheckpointWriterOptions options = to(scratch / "out", 4);
  EXPECT_EQ(recoverable_bytes(options), 0);
  int64_t shard_bytes = 0;
  {
    CheckpointWriter writer(options);
    for (const int index : {0, 1, 3})
      writer.add_shard(index, shard_tensors(index));
    shard_bytes = static_cast<int64_t>(std::filesystem::file_size(writer.shard_path(0)));
    write_bytes(writer.partial_directory() / "progress.json", "{}");
  }
  options.resume = true;  // of shards 0, 1 and the rest's, the last two may be written again
  EXPECT_EQ(recoverable_bytes(options), shard_bytes);
  options.overwrite = true;
  EXPECT_EQ(recoverable_bytes(options), shard_bytes);
  options.resume = false;
  EXPECT_EQ(recoverable_bytes(options), 3 * shard_bytes + 2);
}

TEST(CheckpointWriter, NeverReplacesWhatIsNoModel) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "home");
  write_bytes(scratch / "home/thesis.tex", "x");
  write_bytes(scratch / "file", "x");
  std::filesystem::create_directory(scratch / "fresh");
  CheckpointWriterOptions options = to(scratch / "home");
  options.overwrite = true;
  EXPECT_THROW(CheckpointWriter{options}, ConfigError);
  options.directory = scratch / "file";
  EXPECT_THROW(CheckpointWriter{options}, ConfigError);
  options.directory = scratch / "file/below";
  EXPECT_THROW(CheckpointWriter{options}, ConfigError);
  EXPECT_EQ(read_bytes(scratch / "home/thesis.tex"), "x");
  write_all(to(scratch / "fresh"));  // an empty directory is no output yet
  EXPECT_TRUE(std::filesystem::exists(scratch / "fresh/config.json"));
}

TEST(CheckpointWriter, RefusesToReplaceItsInput) {
  const Scratch scratch;
  write_all(to(scratch / "model"));
  CheckpointWriterOptions options = to(scratch / "model/../model");
  options.overwrite = true;
  options.input = scratch / "model";
  EXPECT_THAT(message_of<ConfigError>([&] { CheckpointWriter writer(options); }),
              HasSubstr("is or holds the input"));
}

TEST(CheckpointWriter, TwoRunsDoNotWriteTheSameOutput) {
  const Scratch scratch;
  CheckpointWriterOptions options = to(scratch / "out");
  const CheckpointWriter first(options);
  options.resume = true;
  EXPECT_THAT(message_of<ConfigError>([&] { CheckpointWriter second(options); }),
              HasSubstr("another run"));
}

TEST(CheckpointWriter, TellsEachTensorThatIsWrittenAndStopsWhenTold) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out"));
  const std::map<std::string, at::Tensor> tensors = {{"a", at::ones({2})}, {"b", at::ones({3})}};
  std::vector<std::string> names;
  EXPECT_THROW(writer.add_shard(0, tensors,
                                [&](const std::string& name) {
                                  names.push_back(name);
                                  throw InterruptedError("interrupted");
                                }),
               InterruptedError);
  EXPECT_THAT(names, ElementsAre("a"));
  EXPECT_TRUE(std::filesystem::is_empty(writer.partial_directory()));
  writer.add_shard(0, tensors, [&](const std::string& name) { names.push_back(name); });
  EXPECT_THAT(names, ElementsAre("a", "a", "b"));
  EXPECT_TRUE(writer.has_shard(0));
}

TEST(CheckpointWriter, DiscardLeavesNothing) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out"));
  writer.add_shard(0, shard_tensors(0));
  writer.discard();
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.ptq-partial"));
}

TEST(CheckpointWriter, ATensorInTwoShardsIsOurMistake) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out"));
  writer.add_shard(0, shard_tensors(0));
  writer.add_shard(1, shard_tensors(0));
  EXPECT_THROW(writer.finish(kConfig), std::logic_error);
}

TEST(CheckpointWriter, CopiesSideFilesByteForByteAndNothingElse) {
  const Scratch scratch;
  const auto input = scratch / "in";
  std::filesystem::create_directories(input / "runs");
  const std::string binary("\0\xff\r\n", 4);
  write_bytes(scratch / "blob", binary);
  std::filesystem::create_symlink(scratch / "blob", input / "tokenizer.model");
  for (const char* name : {"LICENSE", "chat_template.jinja", "generation_config.json"})
    write_bytes(input / name, name);
  write_bytes(input / "empty.txt", "");
  for (const char* name :
       {"config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
        "ptq-manifest.json", "progress.json", "x.ptq-state", "model.gguf"})
    write_bytes(input / name, "{}");

  CheckpointWriterOptions options = to(scratch / "out", 1);
  options.input = input;
  write_all(options);
  auto files = contents(scratch / "out");
  EXPECT_EQ(files["tokenizer.model"], binary);
  EXPECT_FALSE(std::filesystem::is_symlink(scratch / "out/tokenizer.model"));
  std::vector<std::string> names;
  for (const auto& file : files)
    names.push_back(file.first);
  EXPECT_THAT(names, ElementsAre("LICENSE", "chat_template.jinja", "config.json", "empty.txt",
                                 "generation_config.json", "model-00001-of-00001.safetensors",
                                 "model.safetensors.index.json", "tokenizer.model"));
}

TEST(CheckpointWriter, StateFilesOfARunAreNotInTheOutput) {
  const Scratch scratch;
  CheckpointWriter writer(to(scratch / "out", 1));
  writer.add_shard(0, shard_tensors(0));
  for (const char* name : {"progress.json", "hidden.ptq-state"})
    write_file_atomically(writer.partial_directory() / name, "{}");
  write_file_atomically(writer.partial_directory() / "ptq-manifest.json", "{}");
  bool called = false;
  writer.finish(kConfig, [&] {
    called = true;
    EXPECT_TRUE(std::filesystem::exists(writer.partial_directory() / "config.json"));
  });
  EXPECT_TRUE(called);
  EXPECT_EQ(contents(scratch / "out").count("ptq-manifest.json"), 1U);
  EXPECT_EQ(contents(scratch / "out").count("progress.json"), 0U);
  EXPECT_EQ(contents(scratch / "out").count("hidden.ptq-state"), 0U);
}

}  // namespace
}  // namespace ptq
