#include "ptq/io/json.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "posix.h"
#include "ptq/io/file.h"

namespace ptq {
namespace {
constexpr size_t kMaxDepth = 64;

/// Builds the value event by event, because nlohmann's own builder keeps the last of equal keys
/// and nests without limit.
class StrictBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit StrictBuilder(const std::string& where) : where_(where) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = name;
    if (stack_.back()->contains(key_))
      throw FormatError(where_ + ": the key " + in_quotes(key_) + " is given twice");
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    // Error 406 is a number beyond double; all others are syntax.
    if (error.id == 406) throw FormatError(where_ + ": a number is too large for a double");
    throw FormatError(where_ + ": not valid JSON at byte " + std::to_string(position));
  }

 private:
  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (stack_.size() >= kMaxDepth)
      throw FormatError(where_ + ": nested deeper than " + std::to_string(kMaxDepth));
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  const std::string& where_;
  Json root_;
  std::vector<Json*> stack_;
  std::string key_;
};
void add_differences(const Json& now, const Json& before, const std::string& path,
                     std::vector<std::string>& out) {
  if (now == before) return;
  if (!now.is_object() || !before.is_object()) {
    out.push_back(path + " (was " + before.dump() + ", is " + now.dump() + ")");
    return;
  }
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const auto& item : now.items())
    add_differences(item.value(), before.value(item.key(), Json()), prefix + item.key(), out);
  for (const auto& item : before.items())
    if (!now.contains(item.key()))
      out.push_back(prefix + item.key() + " (was " + item.value().dump() + ")");
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  StrictBuilder builder(where);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

Json read_json_file(const std::filesystem::path& path, int64_t limit_bytes) {
  return parse_json(read_text_file(path, limit_bytes), shown(path));
}

std::vector<std::string> differences(const Json& now, const Json& before) {
  std::vector<std::string> found;
  add_differences(now, before, "", found);
  return found;
}

std::string in_quotes(std::string_view text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ptq
