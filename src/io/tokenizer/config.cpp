#include "config.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

AddedToken named_token(const JsonView& json) {
  AddedToken token;
  if (json.value().is_string()) {
    token.content = json.text();
  } else {
    token = parse_added_token(json);
  }
  token.special = true;
  return token;
}

/// Reads the named tokens that `config` lacks; a name that is null is stated, and none.
void read_named(const JsonView& json, std::set<std::string>& stated, Config& config) {
  for (const char* name : kNames) {
    if (json.object().count(name) == 0 || !stated.insert(name).second) continue;
    const auto member = json.find(name);
    if (member) config.named.emplace(name, named_token(*member));
  }
  for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto list = json.find(name);
    if (!list || !list->value().is_array()) continue;
    for (size_t i = 0; i < list->array_size(); ++i) {
      config.named.emplace(std::string(name) + std::to_string(i), named_token(list->at(i)));
    }
  }
}

void read_added(const JsonView& json, Config& config) {
  for (const auto& member : json.object()) {
    const std::string& key = member.first;
    const JsonView view = json.at(key);
    AddedToken token = parse_added_token(view);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    const bool valid = error == std::errc() && end == key.data() + key.size() && token.id >= 0 &&
                       token.id <= kMaxTokenId;
    if (!valid) view.fail("must have a token id for its key");
    config.added.push_back(std::move(token));
  }
  std::sort(config.added.begin(), config.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
}

bool stated_flag(const JsonView& json, const std::string& key, bool fallback) {
  const auto member = json.find(key);
  return member ? member->flag() : fallback;
}

/// The names that the tokenizer classes of transformers have by default.
void add_default_names(const std::set<std::string>& stated, Config& config) {
  const bool llama = config.tokenizer_class == "LlamaTokenizer";
  if (!llama && config.tokenizer_class != "GPT2Tokenizer") return;
  const auto add = [&](const char* name, const char* content) {
    if (stated.count(name) != 0) return;
    AddedToken token;
    token.content = llama ? content : "<|endoftext|>";
    token.special = true;
    config.named.emplace(name, token);
  };
  add("bos_token", "<s>");
  add("eos_token", "</s>");
  add("unk_token", "<unk>");
}

void read_config(const JsonView& json, Config& config) {
  const auto& members = json.object();
  if (const auto name = json.find("tokenizer_class")) {
    config.tokenizer_class = name->text();
    const size_t size = config.tokenizer_class.size();
    if (size > 4 && config.tokenizer_class.compare(size - 4, 4, "Fast") == 0) {
      config.tokenizer_class.resize(size - 4);
    }
  }
  // Stated as null they count as stated, and false.
  if (members.count("add_bos_token") != 0 || members.count("add_eos_token") != 0) {
    config.ends = Config::Ends{stated_flag(json, "add_bos_token", false),
                               stated_flag(json, "add_eos_token", false)};
  }
  config.add_prefix_space = json.flag("add_prefix_space", false);
  config.legacy = json.flag("legacy", true);
  if (const auto added = json.find("added_tokens_decoder")) read_added(*added, config);
}

}  // namespace

Config Config::read(const std::filesystem::path& directory) {
  Config config;
  std::set<std::string> stated;
  const auto main = directory / "tokenizer_config.json";
  config.file = main.string();
  if (std::filesystem::exists(main)) {
    const nlohmann::json json = read_json(main);
    read_config(JsonView(json, main.string()), config);
    read_named(JsonView(json, main.string()), stated, config);
  }
  const auto map = directory / "special_tokens_map.json";
  if (std::filesystem::exists(map)) {
    const nlohmann::json json = read_json(map);
    read_named(JsonView(json, map.string()), stated, config);
  }
  add_default_names(stated, config);
  return config;
}

AddedToken parse_added_token(const JsonView& json) {
  AddedToken token;
  token.content = json.at("content").text();
  if (token.content.empty()) json.fail("has an empty \"content\"");
  token.special = json.flag("special", false);
  token.single_word = json.flag("single_word", false);
  token.lstrip = json.flag("lstrip", false);
  token.rstrip = json.flag("rstrip", false);
  token.normalized = json.flag("normalized", !token.special);
  return token;
}

int32_t AddedTokenList::id_of(const std::string& content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? find_id_(content) : found->second;
}

void AddedTokenList::add(AddedToken token, const std::string& file) {
  if (ids_.count(token.content) != 0) return;
  const int32_t known = find_id_(token.content);
  const int32_t id = known >= 0 ? known : next_id_;
  if (token.id >= 0 && token.id != id) {
    throw FormatError(file + ": added token \"" + token.content + "\" states id " +
                      std::to_string(token.id) + ", but " +
                      (known >= 0 ? "the vocabulary gives it " : "the next free id is ") +
                      std::to_string(id));
  }
  token.id = id;
  if (known < 0) ++next_id_;
  ids_.emplace(token.content, id);
  tokens_.push_back(std::move(token));
}

void AddedTokenList::add(const Config& config) {
  for (const AddedToken& token : config.added)
    add(token, config.file);
  for (const auto& [name, token] : config.named) {
    if (find_id_(token.content) >= 0) add(token, config.file);
  }
}

Template AddedTokenList::ends(const Config& config) const {
  Template result;
  const auto append = [&](bool wanted, const char* name, std::vector<int64_t>& ids) {
    const auto named = config.named.find(name);
    // transformers, too, adds nothing where no token is named.
    if (!wanted || named == config.named.end()) return;
    const int32_t id = id_of(named->second.content);
    if (id < 0) {
      throw FormatError(config.file + ": " + name + " \"" + named->second.content +
                        "\" is not in the vocabulary");
    }
    ids.push_back(id);
  };
  append(config.ends && config.ends->bos, "bos_token", result.prefix);
  append(config.ends && config.ends->eos, "eos_token", result.suffix);
  return result;
}

}  // namespace ptq::tokenizer
