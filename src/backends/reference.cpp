// Any scheme, by the definition: each weight is dequantized on its own, then multiplied in float32.
#include <algorithm>

#include <ATen/ATen.h>

#include "blocked_product.h"
#include "kernels/table.h"
#include "ptq/backends/backend.h"

namespace ptq::backend {
namespace {

class ReferenceWeight : public PackedWeight, private PanelSource {
 public:
  ReferenceWeight(const QuantizedTensor& weight, const SparseWeight* sparse)
      : q_(weight.q.contiguous()) {
    if (weight.scheme.lookup) {
      table_ = weight.table.contiguous();
    } else {
      scale_ = weight.scale.contiguous();
      zero_ = weight.zero.contiguous();
      group_of_ = weight.group_of.contiguous();
    }
    if (sparse != nullptr) sparse_ = *sparse;
  }

  void multiply(const at::Tensor& x, const at::Tensor& y) const override {
    multiply_blocked(x, *this, y);
  }

  int64_t bytes() const override {
    int64_t bytes = 0;
    for (const at::Tensor& part :
         {q_, scale_, zero_, group_of_, table_, sparse_.row_begin, sparse_.columns, sparse_.values})
      if (part.defined()) bytes += part.numel() * part.element_size();
    return bytes;
  }

 private:
  void fill(int64_t first, int64_t begin, int64_t depth, float* panel) const override {
    const int64_t width = kernel_table().panel, last = std::min(first + width, q_.size(0));
    std::fill_n(panel, depth * width, 0.0F);
    for (int64_t out = first; out < last; ++out) {
      float* column = panel + out - first;
      if (table_.defined())
        look_up(out, begin, depth, column);
      else
        fill_output(out, begin, depth, column);
      if (sparse_.count() > 0) replace(out, begin, depth, column);
    }
  }

  /// `column`: the output's weights, `panel` floats apart.
  void fill_output(int64_t out, int64_t begin, int64_t depth, float* column) const {
    const int64_t width = kernel_table().panel, groups = scale_.size(1);
    const uint8_t* q = q_.data_ptr<uint8_t>() + out * q_.size(1);
    const float* scale = scale_.data_ptr<float>() + out * groups;
    const uint8_t* zero = zero_.data_ptr<uint8_t>() + out * groups;
    const int32_t* group_of = group_of_.data_ptr<int32_t>();
    for (int64_t i = begin; i < begin + depth; ++i) {
      const int32_t group = group_of[i];
      column[(i - begin) * width] = scale[group] * static_cast<float>(q[i] - zero[group]);
    }
  }

  void look_up(int64_t out, int64_t begin, int64_t depth, float* column) const {
    const uint8_t* q = q_.data_ptr<uint8_t>() + out * q_.size(1) + begin;
    const float* table = table_.data_ptr<float>() + out * table_.size(1);
    for (int64_t i = 0; i < depth; ++i)
      column[i * kernel_table().panel] = table[q[i]];
  }

  void replace(int64_t out, int64_t begin, int64_t depth, float* column) const {
    const int32_t* rows = sparse_.row_begin.data_ptr<int32_t>();
    for (int32_t entry = rows[out]; entry < rows[out + 1]; ++entry) {
      const int64_t at = sparse_.columns.data_ptr<int32_t>()[entry] - begin;
      if (at >= 0 && at < depth)
        column[at * kernel_table().panel] = sparse_.values.data_ptr<float>()[entry];
    }
  }

  at::Tensor q_, scale_, zero_, group_of_, table_;  ///< of the QuantizedTensor
  SparseWeight sparse_;
};

class Reference : public GemmBackend {
 public:
  std::optional<std::string> unsupported(const WeightShape& /*weight*/) const override {
    return std::nullopt;
  }

  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                     const SparseWeight* sparse) const override {
    if (sparse != nullptr) sparse->check(weight.out_features(), weight.in_features());
    return std::make_unique<ReferenceWeight>(weight, sparse);
  }

  int priority() const override { return 0; }
};

}  // namespace

std::unique_ptr<GemmBackend> reference(Options& /*options*/) {
  return std::make_unique<Reference>();
}

}  // namespace ptq::backend
