#include "safetensors_header.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "ptq/io/json.h"

namespace ptq {
namespace {
constexpr uint64_t kLengthBytes = 8;
// The limit of the format's reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxRank = 64;
constexpr size_t kMaxShown = 60;  // bytes of a wrong value in a message
constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
constexpr DtypeName kDtypes[] = {{"F64", at::kDouble},    {"F32", at::kFloat}, {"F16", at::kHalf},
                                 {"BF16", at::kBFloat16}, {"I64", at::kLong},  {"I32", at::kInt},
                                 {"I16", at::kShort},     {"I8", at::kChar},   {"U8", at::kByte},
                                 {"BOOL", at::kBool}};

at::ScalarType parse_dtype(const Json& value, const std::string& where) {
  if (!value.is_string()) throw FormatError(where + ": dtype is not a string");
  const std::string name = value.get<std::string>();
  std::string known;
  for (const DtypeName& entry : kDtypes) {
    if (name == entry.name) return entry.dtype;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw UnsupportedError(where + ": dtype " + in_quotes(name) + " is not supported",
                         "supported: " + known + "; convert the checkpoint to BF16 first");
}

/// A JSON whole number in [0, 2^63).
uint64_t parse_size(const Json& value, const std::string& what) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMaxInt64)
    throw FormatError(what + " is " + value.dump().substr(0, kMaxShown) +
                      ", not a whole number in [0, 2^63)");
  return value.get<uint64_t>();
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) throw FormatError(where + ": " + key + " is missing");
  return *found;
}

TensorEntry parse_entry(const Json& value, const std::string& where) {
  if (!value.is_object()) throw FormatError(where + ": its entry is not an object");
  TensorEntry entry;
  entry.dtype = parse_dtype(member(value, "dtype", where), where);

  const Json& shape = member(value, "shape", where);
  if (!shape.is_array()) throw FormatError(where + ": shape is not an array");
  if (shape.size() > kMaxRank)
    throw FormatError(where + ": shape has " + std::to_string(shape.size()) +
                      " dimensions, more than " + std::to_string(kMaxRank));
  // Zero dimensions must not hide an overflow of the others: strides are products of them.
  uint64_t bytes = c10::elementSize(entry.dtype);
  bool empty = false;
  for (const Json& dimension : shape) {
    const uint64_t size = parse_size(dimension, where + ": a dimension");
    entry.shape.push_back(static_cast<int64_t>(size));
    if (size == 0) empty = true;
    if (size != 0 && (__builtin_mul_overflow(bytes, size, &bytes) || bytes > kMaxInt64))
      throw FormatError(where + ": shape " + shape.dump() + " overflows");
  }
  if (empty) bytes = 0;

  const Json& offsets = member(value, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2)
    throw FormatError(where + ": data_offsets is not a pair");
  entry.begin = parse_size(offsets[0], where + ": data_offsets");
  entry.end = parse_size(offsets[1], where + ": data_offsets");
  if (entry.begin > entry.end)
    throw FormatError(where + ": data_offsets begin " + std::to_string(entry.begin) +
                      " is after end " + std::to_string(entry.end));
  if (entry.end - entry.begin != bytes)
    throw FormatError(where + ": data_offsets hold " + std::to_string(entry.end - entry.begin) +
                      " bytes, but " + safetensors_dtype(entry.dtype) + " " + shape.dump() +
                      " needs " + std::to_string(bytes));
  return entry;
}

std::map<std::string, std::string> parse_metadata(const Json& value, const std::string& where) {
  if (!value.is_object()) throw FormatError(where + ": __metadata__ is not an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      throw FormatError(where + ": __metadata__ " + in_quotes(key) + " is not a string");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

/// Throws unless the tensors tile [0, data_bytes).
void check_tiling(const std::map<std::string, TensorEntry>& entries, uint64_t data_bytes,
                  const std::string& where) {
  using Named = std::pair<const std::string, TensorEntry>;
  std::vector<const Named*> order;
  for (const Named& named : entries) {
    if (named.second.end > data_bytes)
      throw FormatError(where + ": tensor " + in_quotes(named.first) + " ends at byte " +
                            std::to_string(named.second.end) + " of the data, but the file holds " +
                            std::to_string(data_bytes),
                        "the file may be cut off: fetch it again");
    order.push_back(&named);
  }
  std::sort(order.begin(), order.end(), [](const Named* a, const Named* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  uint64_t end = 0;
  for (const Named* named : order) {
    const TensorEntry& entry = named->second;
    const std::string tensor = where + ": tensor " + in_quotes(named->first);
    if (entry.begin < end)
      throw FormatError(tensor + " begins at byte " + std::to_string(entry.begin) +
                        " and overlaps the tensor before it, which ends at " + std::to_string(end));
    if (entry.begin > end)
      throw FormatError(tensor + " begins at byte " + std::to_string(entry.begin) +
                        ", which leaves a hole after byte " + std::to_string(end));
    end = entry.end;
  }
  if (end < data_bytes)
    throw FormatError(where + ": " + std::to_string(data_bytes - end) +
                      " bytes after the last tensor belong to no tensor");
}
}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view bytes, const std::string& where) {
  if (bytes.size() < kLengthBytes)
    throw FormatError(where + " has " + std::to_string(bytes.size()) +
                      " bytes, too few for a safetensors header");
  uint64_t length = 0;
  for (uint64_t i = 0; i < kLengthBytes; ++i)
    length |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  if (length > kMaxHeaderBytes)
    throw FormatError(where + ": the header length " + std::to_string(length) +
                          " is above the limit of " + std::to_string(kMaxHeaderBytes),
                      "is this a safetensors file?");
  if (length > bytes.size() - kLengthBytes)
    throw FormatError(where + ": the header length " + std::to_string(length) +
                      " is more than the file holds (" +
                      std::to_string(bytes.size() - kLengthBytes) + ")");
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + length;
  const Json json = parse_json(bytes.substr(kLengthBytes, length), where + ": header");
  if (!json.is_object()) throw FormatError(where + ": header is not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__")
      header.metadata = parse_metadata(value, where);
    else
      header.entries.emplace(name, parse_entry(value, where + ": tensor " + in_quotes(name)));
  }
  check_tiling(header.entries, bytes.size() - header.data_begin, where);
  return header;
}

std::string safetensors_dtype(at::ScalarType dtype) {
  for (const DtypeName& entry : kDtypes)
    if (dtype == entry.dtype) return entry.name;
  throw UnsupportedError(std::string("safetensors files have no dtype ") + c10::toString(dtype));
}

}  // namespace ptq
