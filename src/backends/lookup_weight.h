#pragma once
#include "blocked_product.h"
#include "ptq/backends/backend.h"

namespace ptq::backend {

/// A weight of codes that name entries of a table for each output: decoded panel by panel for any
/// number of rows.
class LookupWeight : public PackedWeight, private PanelSource {
 public:
  /// `sparse` may be null.
  LookupWeight(const QuantizedTensor& weight, const SparseWeight* sparse);

  void multiply(const at::Tensor& x, const at::Tensor& y) const override {
    multiply_blocked(x, *this, y);
  }
  int64_t bytes() const override;

 private:
  void fill(int64_t first, int64_t begin, int64_t depth, float* panel) const override;
  /// Positions begin … begin + depth − 1, the first of them even, and where their weights go.
  struct Stretch {
    int64_t begin, depth;
    float* panel;
  };
  void decode_nibbles(int64_t first, int64_t count, const Stretch& at) const;
  void decode_bytes(int64_t first, int64_t count, const Stretch& at) const;
  void replace(int64_t out, int64_t begin, int64_t depth, float* column) const;

  int64_t out_features_;
  bool nibbles_;      ///< two codes a byte, the even input's in its low half
  at::Tensor codes_;  ///< uint8 [out, ceil(in / 2)] or [out, in]
  at::Tensor table_;  ///< float32 [out, 2^bits]
  SparseWeight sparse_;
};

}  // namespace ptq::backend
