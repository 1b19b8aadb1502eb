#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/io/safetensors.h"
#include "ptq/model/site.h"
#include "ptq/quant/sparse_weight.h"

namespace ptq {

/// Single weights by the name of their linear.
using SparseWeights = std::map<std::string, SparseWeight>;

/// The safetensors file of the single weights beside a quantized checkpoint.  The index does not
/// list it, and it is not called *.safetensors: some loaders of engines take every such file of the
/// directory, index or not, and end at the first tensor they do not know (docs/formats.md).
constexpr const char* kSparseFile = "ptq-sparse.csr";
/// Where config.json tells of it.
constexpr const char* kSparseConfig = "ptq_sparse";

/// The dtype that `values` (float32 [values], finite) are stored in: the model's own if that is
/// float16 or bfloat16; else float16 if all are in its range, else bfloat16.
at::ScalarType sparse_value_dtype(const at::Tensor& values, at::ScalarType model_dtype);

/// `weight` with its values rounded to nearest as they are stored, so that who quantizes runs on
/// what is read back.  Throws NumericalError for a value that is not finite, or is not in that
/// dtype.
SparseWeight storable(SparseWeight weight, at::ScalarType model_dtype);

/// Bytes of the tensors that hold `count` values of a weight [out, in]; 0 without values.
int64_t sparse_bytes(int64_t out_features, int64_t in_features, int64_t count);

/// Writes `kSparseFile` into `directory`, whole or not at all; `sites` hold every linear of
/// `weights`.  A linear without values takes no part; nothing is written if none has any.  Throws
/// std::logic_error for values that `storable` would change, for an unknown linear and as
/// SparseWeight::check; else as write_safetensors.
void write_sparse_part(const std::filesystem::path& directory, const SparseWeights& weights,
                       const std::vector<LinearSite>& sites, at::ScalarType model_dtype);

/// config.json's "ptq_sparse" of what `write_sparse_part` writes: file, number of values, bytes,
/// and the warning that the other tensors alone are another model; null without values.  Throws
/// std::logic_error for an unknown linear.
Json sparse_config(const SparseWeights& weights, const std::vector<LinearSite>& sites);

/// The single weights of a directory, read when they are asked for.  May be used by several
/// threads.
class SparsePart {
 public:
  /// Reads the header of the file `path`; `quantized`: the linears that may have single weights.
  /// Throws FormatError naming file, tensor and fault for names, dtypes and shapes that are not
  /// those of write_sparse_part; else as SafetensorsFile.
  SparsePart(const std::filesystem::path& path, const std::vector<LinearSite>& quantized);

  /// That of `directory`; null if `config` (the content of config.json) has no "ptq_sparse".
  /// Throws as the constructor, and FormatError for a file that is missing or that `config` does
  /// not tell of, and where number or bytes of the values differ from `config`.
  static std::shared_ptr<const SparsePart> open(const std::filesystem::path& directory,
                                                const Json& config,
                                                const std::vector<LinearSite>& quantized);

  /// The linear's single weights; nothing if it has none.  Throws FormatError naming file, tensor
  /// and fault for row pointers that fall, columns that do not rise or lie outside, and values that
  /// are not finite.
  std::optional<SparseWeight> find(const std::string& site) const;

  /// The linear's number of values; 0 if it has none.
  int64_t count(const std::string& site) const;
  /// Bytes of the linear's tensors; 0 if it has none.
  int64_t bytes(const std::string& site) const;
  /// The names of the linears that have values, sorted.
  std::vector<std::string> sites() const;
  /// Gives the memory pages of the linear's tensors back to the system.
  void release(const std::string& site) const;
  /// Of all linears.
  int64_t total_count() const { return total_count_; }
  int64_t total_bytes() const { return total_bytes_; }
  const std::filesystem::path& path() const& { return file_.path(); }

 private:
  struct Part {
    int64_t out_features = 0, in_features = 0, count = 0;
  };
  void check_entries(const LinearSite& site) const;
  [[noreturn]] void fail(const std::string& tensor, const std::string& fault) const;

  SafetensorsFile file_;
  std::map<std::string, Part> parts_;
  int64_t total_count_ = 0, total_bytes_ = 0;
};

}  // namespace ptq
