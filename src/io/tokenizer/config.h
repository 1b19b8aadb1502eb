#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "json_view.h"
#include "template.h"

namespace ptq::tokenizer {

/// What tokenizer_config.json says, with special_tokens_map.json for the names that it lacks.
struct Config {
  std::string file;             ///< for messages
  std::string tokenizer_class;  ///< without "Fast"; may be empty
  /// add_bos_token and add_eos_token; nothing if neither is stated.
  struct Ends {
    bool bos = false;
    bool eos = false;
  };
  std::optional<Ends> ends;
  bool add_prefix_space = false;
  bool legacy = true;  ///< of LlamaTokenizer: special tokens are followed by a word start
  std::map<std::string, AddedToken> named;  ///< "bos_token", "eos_token", …; without ids
  std::vector<AddedToken> added;            ///< added_tokens_decoder, by id

  /// Reads the files of `directory`, either of which may be absent; FormatError if malformed.
  static Config read(const std::filesystem::path& directory);
};

/// Reads {"content": …, "lstrip": …, …}, without an id; FormatError if it is malformed or empty.
AddedToken parse_added_token(const JsonView& json);

/// The added tokens of a tokenizer, with ids as the tokenizers library gives them: a token of the
/// vocabulary keeps its id, the others follow the largest id one by one.
class AddedTokenList {
 public:
  /// `find_id` gives a token's id in the vocabulary of `size` tokens, -1 for none.
  AddedTokenList(std::function<int32_t(const std::string&)> find_id, int32_t size)
      : find_id_(std::move(find_id)), next_id_(size) {}

  /// Adds `token` unless its content is there already; FormatError ("`file`: …") if it states an
  /// id (not -1) that is not the one it gets.
  void add(AddedToken token, const std::string& file);
  /// Adds what `config` names and the list lacks: its added_tokens_decoder, and named special
  /// tokens that are in the vocabulary.
  void add(const Config& config);

  const std::vector<AddedToken>& tokens() const& { return tokens_; }
  /// BOS and EOS as `config` states them (it must); FormatError if such a token has no id.
  Template ends(const Config& config) const;

 private:
  int32_t id_of(const std::string& content) const;

  std::function<int32_t(const std::string&)> find_id_;
  int32_t next_id_;
  std::vector<AddedToken> tokens_;
  std::map<std::string, int32_t> ids_;
};

}  // namespace ptq::tokenizer
