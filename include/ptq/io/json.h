#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ptq/core/options.h"

namespace ptq {

/// Parses one JSON value.  Stricter than nlohmann's parser: a key given twice, a nesting deeper
/// than 64, invalid UTF-8 and anything after the value are a FormatError that starts with `where`
/// and names the byte.
Json parse_json(std::string_view text, const std::string& where);

/// `parse_json` of a file of at most `limit_bytes`; messages name the file.
Json read_json_file(const std::filesystem::path& path, int64_t limit_bytes = int64_t{1} << 30);

/// Every place where `now` and `before` differ, with both values: `settings.bits (was 4, is 3)`.
std::vector<std::string> differences(const Json& now, const Json& before);

/// `text` in double quotes with control characters escaped, for messages that show what a file
/// holds.
std::string in_quotes(std::string_view text);

}  // namespace ptq
