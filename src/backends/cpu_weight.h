#pragma once
#include <vector>

#include "blocked_product.h"
#include "column_order.h"
#include "kernels/table.h"
#include "ptq/backends/backend.h"

namespace ptq::backend {

/// A 4-bit weight in the layout of cpu_layout.h.
class CpuWeight : public PackedWeight, private PanelSource {
 public:
  /// `sparse` may be null.
  CpuWeight(const QuantizedTensor& weight, const SparseWeight* sparse);

  void multiply(const at::Tensor& x, const at::Tensor& y) const override;
  int64_t bytes() const override;

 private:
  /// The place of a value that replaces the dequantized weight.
  struct Replaced {
    int32_t position;
    float value;
  };

  void pack_sparse(const SparseWeight& sparse);
  void pack_grid(const QuantizedTensor& weight);
  void pack_words(const QuantizedTensor& weight);
  Int4Weight view() const;
  at::Tensor in_order(const at::Tensor& x) const;
  void stream(const at::Tensor& x, const at::Tensor& y) const;
  void fill(int64_t first, int64_t begin, int64_t depth, float* panel) const override;

  int64_t out_features_, groups_;
  bool exact_products_ = true;
  ColumnOrder order_;
  at::Tensor words_;  ///< int32, at word_index
  /// At scale_index; float16 or bfloat16 where that holds every scale, else float32.
  at::Tensor scale_;
  at::Tensor zero_;                      ///< uint8, at scale_index; undefined: symmetric
  std::vector<int32_t> replaced_begin_;  ///< [out + 1]; empty: none
  std::vector<Replaced> replaced_;       ///< positions rise within an output
};

}  // namespace ptq::backend
