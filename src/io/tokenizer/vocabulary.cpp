#include "vocabulary.h"

#include <algorithm>

namespace ptq::tokenizer {

Vocabulary::Vocabulary(const JsonView& json) {
  const auto& members = json.object();
  ids_.reserve(members.size());
  int32_t limit = 0;
  for (const auto& [token, id] : members) {
    // The view, which spells out its path, is made for the message alone: files have 100 000s.
    if (!is_token_id(id)) JsonView(id, json.file(), "model.vocab[\"" + token + "\"]").token_id();
    limit = std::max(limit, id.get<int32_t>() + 1);
  }
  tokens_.resize(static_cast<size_t>(limit));
  std::vector<bool> used(tokens_.size());
  for (const auto& [token, value] : members) {
    const auto id = value.get<size_t>();
    if (used[id]) {
      json.fail("\"" + token + "\" and \"" + tokens_[id] + "\" have the same id " +
                std::to_string(id));
    }
    used[id] = true;
    tokens_[id] = token;
    ids_.emplace(tokens_[id], static_cast<int32_t>(id));
  }
}

}  // namespace ptq::tokenizer
