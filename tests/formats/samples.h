#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/formats/format.h"
#include "ptq/io/checkpoint.h"
#include "ptq/quant/quantized_tensor.h"
#include "ptq/quant/sparse_weight.h"

namespace ptq {

/// Tensors in memory as a source.
class MapSource : public TensorSource {
 public:
  explicit MapSource(std::map<std::string, at::Tensor> held) : tensors(std::move(held)) {}
  bool contains(const std::string& name) const override { return tensors.count(name) > 0; }
  at::Tensor tensor(const std::string& name) const override;
  std::vector<std::string> names() const override;

  std::map<std::string, at::Tensor> tensors;
};

/// Random codes, storable scales of both signs and zero points of 1 … 2^bits − 1, or storable
/// tables.
QuantizedTensor random_weight(const QuantScheme& scheme, int64_t out, int64_t in);

/// A share of the places of a matrix, chosen at random, with values of a normal distribution: at
/// least one, and nothing in the last row.
SparseWeight random_sparse(int64_t out, int64_t in, double share);

/// A site without block or stage.
LinearSite make_site(const std::string& name, int64_t out, int64_t in);

/// The seven linears of each block of a Llama with hidden size 128.
std::vector<LinearSite> llama_sites(int blocks);

/// All of `sites` with `scheme`.
FormatContext uniform_context(const std::vector<LinearSite>& sites, const QuantScheme& scheme);

/// Whether all fields of both are the same, bit for bit.
bool identical(const QuantizedTensor& a, const QuantizedTensor& b);

/// The int32 words of a tensor as they are shown in hexadecimal.
std::vector<uint32_t> words_of(const at::Tensor& tensor);

}  // namespace ptq
