#include "template.h"

namespace ptq::tokenizer {
namespace {

void append_ids(const JsonView& special_tokens, const JsonView& name, std::vector<int64_t>& ids) {
  const JsonView list = special_tokens.at(name.text()).at("ids");
  for (size_t i = 0; i < list.array_size(); ++i)
    ids.push_back(list.at(i).token_id());
}

Template from_template_processing(const JsonView& json) {
  Template result;
  const JsonView single = json.at("single");
  bool text_seen = false;
  for (size_t i = 0; i < single.array_size(); ++i) {
    const JsonView item = single.at(i);
    if (const auto special = item.find("SpecialToken")) {
      append_ids(json.at("special_tokens"), special->at("id"),
                 text_seen ? result.suffix : result.prefix);
    } else if (item.at("Sequence").at("id").text() != "A" || text_seen) {
      item.unsupported("a template that is not one text A between special tokens");
    } else {
      text_seen = true;
    }
  }
  if (!text_seen) single.unsupported("a template without the text A");
  return result;
}

/// ["token", id]
int64_t pair_id(const JsonView& pair) {
  if (pair.array_size() != 2) pair.fail("must be [token, id]");
  return pair.at(1).token_id();
}

}  // namespace

Template make_template(const JsonView& json, int depth) {
  if (depth > kMaxNesting)
    json.fail("is nested more than " + std::to_string(kMaxNesting) + " deep");
  const std::string& type = json.at("type").text();
  if (type == "ByteLevel") return {};  // It only moves offsets.
  if (type == "TemplateProcessing") return from_template_processing(json);
  if (type == "RobertaProcessing" || type == "BertProcessing") {
    return {{pair_id(json.at("cls"))}, {pair_id(json.at("sep"))}};
  }
  if (type != "Sequence") json.unsupported("post-processor \"" + type + "\"");
  Template result;
  const JsonView steps = json.at("processors");
  for (size_t i = 0; i < steps.array_size(); ++i) {
    const Template step = make_template(steps.at(i), depth + 1);
    // A later step surrounds what the earlier ones made.
    result.prefix.insert(result.prefix.begin(), step.prefix.begin(), step.prefix.end());
    result.suffix.insert(result.suffix.end(), step.suffix.begin(), step.suffix.end());
  }
  return result;
}

}  // namespace ptq::tokenizer
