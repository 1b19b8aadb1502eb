#include "ptq/formats/sparse_part.h"

#include <set>
#include <stdexcept>
#include <utility>

#include <ATen/ATen.h>

#include "json_fields.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

constexpr const char* kRows = ".sparse_row_ptr";
constexpr const char* kColumns = ".sparse_col_idx";
constexpr const char* kValues = ".sparse_val";

/// The narrowest integer type of safetensors and LibTorch 1.13 that holds every column.
at::ScalarType column_dtype(int64_t in_features) {
  if (in_features <= 1 << 8) return at::kByte;
  return in_features <= 1 << 15 ? at::kShort : at::kInt;
}

std::map<std::string, LinearSite> by_name(const std::vector<LinearSite>& sites) {
  std::map<std::string, LinearSite> named;
  for (const LinearSite& site : sites)
    named.emplace(site.name, site);
  return named;
}

const LinearSite& site_of(const std::map<std::string, LinearSite>& sites, const std::string& name) {
  const auto found = sites.find(name);
  if (found == sites.end()) throw std::logic_error("sparse weights of no linear: " + name);
  return found->second;
}

/// The linear that a tensor of the file belongs to; empty if its name is of none of the kinds.
std::string owner_of(const std::string& tensor) {
  for (const std::string suffix : {kRows, kColumns, kValues})
    if (tensor.size() > suffix.size() &&
        tensor.compare(tensor.size() - suffix.size(), suffix.size(), suffix) == 0)
      return tensor.substr(0, tensor.size() - suffix.size());
  return "";
}

/// Why `rows` do not lead from 0 to `count`, or nothing.
std::string fault_of_rows(const at::Tensor& rows, int64_t count) {
  const int32_t* begin = rows.data_ptr<int32_t>();
  const int64_t last = rows.size(0) - 1;
  if (begin[0] != 0) return "begins with " + std::to_string(begin[0]) + ", not with 0";
  for (int64_t row = 0; row < last; ++row)
    if (begin[row + 1] < begin[row]) return "falls after row " + std::to_string(row);
  if (begin[last] != count)
    return "ends with " + std::to_string(begin[last]) + ", but there are " + std::to_string(count) +
           " values";
  return "";
}

/// Why the columns of a row do not rise within 0 … in − 1, or nothing; `rows` are sound.
std::string fault_of_columns(const at::Tensor& rows, const at::Tensor& columns, int64_t in) {
  const int32_t* begin = rows.data_ptr<int32_t>();
  const int32_t* column = columns.data_ptr<int32_t>();
  for (int64_t row = 0; row + 1 < rows.size(0); ++row)
    for (int32_t i = begin[row]; i < begin[row + 1]; ++i) {
      if (column[i] < 0 || column[i] >= in)
        return "has the column " + std::to_string(column[i]) + " in row " + std::to_string(row) +
               ", there are " + std::to_string(in);
      if (i > begin[row] && column[i] <= column[i - 1])
        return "does not rise in row " + std::to_string(row);
    }
  return "";
}

}  // namespace

at::ScalarType sparse_value_dtype(const at::Tensor& values, at::ScalarType model_dtype) {
  if (model_dtype == at::kHalf || model_dtype == at::kBFloat16) return model_dtype;
  return values.to(at::kHalf).isfinite().all().item<bool>() ? at::kHalf : at::kBFloat16;
}

SparseWeight storable(SparseWeight weight, at::ScalarType model_dtype) {
  if (weight.count() == 0) return weight;
  if (!weight.values.isfinite().all().item<bool>())
    throw NumericalError("a sparse value is not finite");
  const at::ScalarType dtype = sparse_value_dtype(weight.values, model_dtype);
  weight.values = weight.values.to(dtype).to(at::kFloat);
  if (!weight.values.isfinite().all().item<bool>())
    throw NumericalError(std::string("a sparse value is beyond the range of ") + toString(dtype));
  return weight;
}

int64_t sparse_bytes(int64_t out_features, int64_t in_features, int64_t count) {
  if (count == 0) return 0;
  const auto column = static_cast<int64_t>(c10::elementSize(column_dtype(in_features)));
  constexpr int64_t kRowBytes = 4, kValueBytes = 2;
  return kRowBytes * (out_features + 1) + count * (column + kValueBytes);
}

void write_sparse_part(const std::filesystem::path& directory, const SparseWeights& weights,
                       const std::vector<LinearSite>& sites, at::ScalarType model_dtype) {
  const std::map<std::string, LinearSite> known = by_name(sites);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, weight] : weights) {
    if (weight.count() == 0) continue;
    const LinearSite& site = site_of(known, name);
    weight.check(site.out_features, site.in_features);
    const at::Tensor stored =
        weight.values.to(sparse_value_dtype(weight.values, model_dtype)).contiguous();
    if (!stored.to(at::kFloat).equal(weight.values))
      throw std::logic_error(name + ": sparse values must come from storable");
    tensors[name + kRows] = weight.row_begin;
    tensors[name + kColumns] = weight.columns.to(column_dtype(site.in_features));
    tensors[name + kValues] = stored;
  }
  if (!tensors.empty()) write_safetensors(directory / kSparseFile, tensors, {{"format", "pt"}});
}

Json sparse_config(const SparseWeights& weights, const std::vector<LinearSite>& sites) {
  const std::map<std::string, LinearSite> known = by_name(sites);
  int64_t values = 0, bytes = 0;
  for (const auto& [name, weight] : weights) {
    const LinearSite& site = site_of(known, name);
    values += weight.count();
    bytes += sparse_bytes(site.out_features, site.in_features, weight.count());
  }
  if (values == 0) return nullptr;
  return {{"file", kSparseFile},
          {"values", values},
          {"bytes", bytes},
          {"warning",
           "The weights in this file replace those of the quantized linears at their places.  An "
           "engine that does not read it runs another model with another perplexity: figures of "
           "this checkpoint do not hold for it."}};
}

std::shared_ptr<const SparsePart> SparsePart::open(const std::filesystem::path& directory,
                                                   const Json& config,
                                                   const std::vector<LinearSite>& quantized) {
  const std::filesystem::path path = directory / kSparseFile;
  const bool exists = std::filesystem::exists(path);
  const std::string file = path.string(), where = "config.json: " + std::string(kSparseConfig);
  if (!config.contains(kSparseConfig) || config.at(kSparseConfig).is_null()) {
    if (exists)
      throw FormatError(file + " is there, but config.json has no " + kSparseConfig,
                        "restore config.json, or remove the file to use the dense part alone");
    return nullptr;
  }
  const JsonFields fields(config.at(kSparseConfig), where);
  const std::string name = fields.text("file", "");
  if (name != kSparseFile)
    throw FormatError(where + ": file is \"" + name + "\", not " + kSparseFile);
  const int64_t values = fields.integer("values"), bytes = fields.integer("bytes");
  if (!exists)
    throw FormatError(file + " is missing, but config.json tells of it",
                      "fetch the checkpoint again: without it this is another model");
  const auto part = std::make_shared<const SparsePart>(path, quantized);
  if (part->total_count() != values)
    throw FormatError(file + " holds " + std::to_string(part->total_count()) +
                      " values, but config.json tells of " + std::to_string(values));
  if (part->total_bytes() != bytes)
    throw FormatError(file + " holds " + std::to_string(part->total_bytes()) +
                      " bytes of tensors, but config.json tells of " + std::to_string(bytes));
  return part;
}

SparsePart::SparsePart(const std::filesystem::path& path, const std::vector<LinearSite>& quantized)
    : file_(path) {
  const std::map<std::string, LinearSite> known = by_name(quantized);
  for (const auto& entry : file_.entries()) {
    const std::string owner = owner_of(entry.first);
    if (owner.empty()) fail(entry.first, "is none of the tensors of sparse weights");
    if (parts_.count(owner) > 0) continue;
    const auto site = known.find(owner);
    if (site == known.end()) fail(entry.first, "belongs to no quantized linear of the model");
    check_entries(site->second);
    const int64_t count = file_.entries().at(owner + kValues).shape[0];
    parts_[owner] = {site->second.out_features, site->second.in_features, count};
    total_count_ += count;
    total_bytes_ += bytes(owner);
  }
}

void SparsePart::fail(const std::string& tensor, const std::string& fault) const {
  throw FormatError(file_.path().string() + ": " + tensor + " " + fault);
}

void SparsePart::check_entries(const LinearSite& site) const {
  for (const char* suffix : {kRows, kColumns, kValues})
    if (file_.entries().count(site.name + suffix) == 0) fail(site.name + suffix, "is missing");
  const auto require = [&](const char* suffix, const std::set<at::ScalarType>& dtypes,
                           int64_t length) {
    const TensorEntry& entry = file_.entries().at(site.name + suffix);
    if (dtypes.count(entry.dtype) == 0)
      fail(site.name + suffix, std::string("has the dtype ") + toString(entry.dtype) + ", not " +
                                   toString(*dtypes.begin()));
    if (entry.shape != std::vector<int64_t>{length})
      fail(site.name + suffix,
           "has the shape " + Json(entry.shape).dump() + ", not [" + std::to_string(length) + "]");
  };
  const std::vector<int64_t>& shape = file_.entries().at(site.name + kColumns).shape;
  const int64_t count = shape.empty() ? 0 : shape[0];
  if (count == 0) fail(site.name + kColumns, "holds nothing");
  require(kRows, {at::kInt}, site.out_features + 1);
  require(kColumns, {column_dtype(site.in_features)}, count);
  require(kValues, {at::kHalf, at::kBFloat16}, count);
}

std::optional<SparseWeight> SparsePart::find(const std::string& site) const {
  const auto part = parts_.find(site);
  if (part == parts_.end()) return std::nullopt;
  // Copies: whoever keeps them must not keep the mapping's pages.
  const auto read = [&](const char* suffix, at::ScalarType dtype) {
    return file_.tensor(site + suffix).to(dtype, /*non_blocking=*/false, /*copy=*/true);
  };
  SparseWeight weight;
  weight.row_begin = read(kRows, at::kInt);
  weight.columns = read(kColumns, at::kInt);
  weight.values = read(kValues, at::kFloat);
  std::string fault = fault_of_rows(weight.row_begin, part->second.count);
  if (!fault.empty()) fail(site + kRows, fault);
  fault = fault_of_columns(weight.row_begin, weight.columns, part->second.in_features);
  if (!fault.empty()) fail(site + kColumns, fault);
  if (!weight.values.isfinite().all().item<bool>())
    fail(site + kValues, "holds a value that is not finite");
  return weight;
}

int64_t SparsePart::count(const std::string& site) const {
  const auto part = parts_.find(site);
  return part == parts_.end() ? 0 : part->second.count;
}

int64_t SparsePart::bytes(const std::string& site) const {
  const auto part = parts_.find(site);
  if (part == parts_.end()) return 0;
  return sparse_bytes(part->second.out_features, part->second.in_features, part->second.count);
}

std::vector<std::string> SparsePart::sites() const {
  std::vector<std::string> names;
  for (const auto& part : parts_)
    names.push_back(part.first);
  return names;
}

void SparsePart::release(const std::string& site) const {
  if (parts_.count(site) == 0) return;
  for (const char* suffix : {kRows, kColumns, kValues})
    file_.release(site + suffix);
}

}  // namespace ptq
