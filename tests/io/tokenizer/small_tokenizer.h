#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ptq/io/tokenizer.h"

namespace ptq::tokenizer {

using Json = nlohmann::json;
using Ids = std::vector<int64_t>;

/// An empty directory of the running test's own.
inline std::filesystem::path fresh_directory() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const auto path = std::filesystem::path(testing::TempDir()) /
                    (std::string("tokenizer_") + test->test_suite_name() + "_" + test->name());
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

/// A directory with the given files.
inline std::filesystem::path directory_with(const std::map<std::string, std::string>& files) {
  const auto path = fresh_directory();
  for (const auto& [name, bytes] : files)
    std::ofstream(path / name, std::ios::binary) << bytes;
  return path;
}

/// tokenizer.json with a BPE model of ids 0 … for `tokens`, and merges spelled "a b".
inline Json small_json(const std::vector<std::string>& tokens,
                       const std::vector<std::string>& merges = {}) {
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id)
    vocab[tokens[id]] = id;
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

/// An entry of "added_tokens".
inline Json added(int id, const std::string& content, const Json& flags = Json::object()) {
  Json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  token.update(flags);
  return token;
}

/// The tokenizer of a directory that holds tokenizer.json and, unless null, tokenizer_config.json.
inline std::unique_ptr<Tokenizer> open_small(const Json& json, const Json& config = nullptr) {
  std::map<std::string, std::string> files = {{"tokenizer.json", json.dump()}};
  if (!config.is_null()) files["tokenizer_config.json"] = config.dump();
  return Tokenizer::open(directory_with(files));
}

}  // namespace ptq::tokenizer
