#include "bpe_text_model.h"
#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

/// The merges, spelled "a b" or ["a", "b"]; they refer to `json`.
std::vector<MergeRule> parse_merges(const JsonView& json) {
  std::vector<MergeRule> merges;
  merges.reserve(json.array_size());
  for (const nlohmann::json& item : json.value()) {
    const auto view = [&] { return json.at(merges.size()); };
    if (item.is_string()) {
      const std::string_view text = *item.get_ptr<const std::string*>();
      const size_t space = text.find(' ');
      const bool two =
          space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos;
      if (!two)
        view().fail("must be two tokens with a space between, is \"" + std::string(text) + "\"");
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      merges.emplace_back(*item[0].get_ptr<const std::string*>(),
                          *item[1].get_ptr<const std::string*>());
    } else {
      view().fail("must be \"a b\" or [\"a\", \"b\"]");
    }
  }
  return merges;
}

void refuse_option(const JsonView& model, const std::string& key) {
  const auto option = model.find(key);
  if (!option) return;
  const bool neutral = (option->value().is_string() && option->text().empty()) ||
                       (option->value().is_number() && option->value() == 0);
  if (!neutral) option->unsupported("\"" + key + "\" " + option->value().dump());
}

Bpe parse_bpe(const JsonView& model) {
  const auto type = model.find("type");
  if (type && type->text() != "BPE") type->unsupported("tokenizer model \"" + type->text() + "\"");
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse_option(model, key);
  }
  BpeOptions options;
  if (const auto unknown = model.find("unk_token")) options.unk_token = unknown->text();
  options.fuse_unk = model.flag("fuse_unk", false);
  options.byte_fallback = model.flag("byte_fallback", false);
  options.ignore_merges = model.flag("ignore_merges", false);
  const JsonView merges = model.at("merges");
  return Bpe(Vocabulary(model.at("vocab")), parse_merges(merges), std::move(options),
             merges.file() + ": model.merges");
}

}  // namespace

std::unique_ptr<Tokenizer> open_json(const std::filesystem::path& directory, const Config& config) {
  const auto file = directory / "tokenizer.json";
  const nlohmann::json json = read_json(file);
  const JsonView root(json, file.string());
  std::unique_ptr<Normalizer> normalizer;
  if (const auto node = root.find("normalizer")) normalizer = make_normalizer(*node);
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  if (const auto node = root.find("pre_tokenizer")) pre_tokenizer = make_pre_tokenizer(*node);
  auto model =
      std::make_unique<BpeTextModel>(std::move(pre_tokenizer), parse_bpe(root.at("model")));

  AddedTokenList added(
      [&model](const std::string& token) { return model->vocabulary().find(token); },
      static_cast<int32_t>(model->vocabulary().size()));
  if (const auto list = root.find("added_tokens")) {
    for (size_t i = 0; i < list->array_size(); ++i) {
      AddedToken token = parse_added_token(list->at(i));
      token.id = list->at(i).at("id").token_id();
      added.add(std::move(token), file.string());
    }
  }
  added.add(config);
  Template ends;
  const auto post_processor = root.find("post_processor");
  if (post_processor) ends = make_template(*post_processor);
  if (config.ends) ends = added.ends(config);
  return std::make_unique<Pipeline>(std::move(normalizer), std::move(model), added.tokens(),
                                    std::move(ends));
}

}  // namespace ptq::tokenizer
