#include "lookup_weight.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "kernels/table.h"

namespace ptq::backend {
namespace {

/// Codes of 4 bits, two a byte.
at::Tensor in_nibbles(const at::Tensor& q) {
  const at::Tensor even = q.slice(1, 0, q.size(1), 2), odd = q.slice(1, 1, q.size(1), 2);
  at::Tensor bytes = even.clone(at::MemoryFormat::Contiguous);
  bytes.narrow(1, 0, odd.size(1)).bitwise_or_(odd * 16);
  return bytes;
}

}  // namespace

LookupWeight::LookupWeight(const QuantizedTensor& weight, const SparseWeight* sparse)
    : out_features_(weight.out_features()),
      nibbles_(weight.scheme.bits <= 4),
      codes_(nibbles_ ? in_nibbles(weight.q) : weight.q.contiguous()),
      table_(weight.table.contiguous()) {
  if (sparse != nullptr) sparse_ = *sparse;
}

void LookupWeight::fill(int64_t first, int64_t begin, int64_t depth, float* panel) const {
  const int64_t width = kernel_table().panel, last = std::min(first + width, out_features_);
  if (last < first + width) std::fill_n(panel, depth * width, 0.0F);
  if (nibbles_)
    decode_nibbles(first, last - first, {begin, depth, panel});
  else
    decode_bytes(first, last - first, {begin, depth, panel});
  for (int64_t out = first; sparse_.count() > 0 && out < last; ++out)
    replace(out, begin, depth, panel + out - first);
}

// Outputs innermost: the panel is written from end to end, and a few tables stay in the L1 cache.
void LookupWeight::decode_nibbles(int64_t first, int64_t count, const Stretch& at) const {
  const int64_t width = kernel_table().panel, row = codes_.size(1), entries = table_.size(1);
  const uint8_t* codes = codes_.data_ptr<uint8_t>() + first * row + at.begin / 2;
  const float* tables = table_.data_ptr<float>() + first * entries;
  for (int64_t i = 0; i + 1 < at.depth; i += 2)
    for (int64_t o = 0; o < count; ++o) {
      const uint8_t both = codes[o * row + i / 2];
      at.panel[i * width + o] = tables[o * entries + (both & 15)];
      at.panel[(i + 1) * width + o] = tables[o * entries + (both >> 4)];
    }
  const int64_t last = at.depth - 1;
  for (int64_t o = 0; at.depth % 2 != 0 && o < count; ++o)
    at.panel[last * width + o] = tables[o * entries + (codes[o * row + last / 2] & 15)];
}

void LookupWeight::decode_bytes(int64_t first, int64_t count, const Stretch& at) const {
  const int64_t width = kernel_table().panel, row = codes_.size(1), entries = table_.size(1);
  const uint8_t* codes = codes_.data_ptr<uint8_t>() + first * row + at.begin;
  const float* tables = table_.data_ptr<float>() + first * entries;
  for (int64_t i = 0; i < at.depth; ++i)
    for (int64_t o = 0; o < count; ++o)
      at.panel[i * width + o] = tables[o * entries + codes[o * row + i]];
}

/// `column`: the output's weights, a panel's width apart.
void LookupWeight::replace(int64_t out, int64_t begin, int64_t depth, float* column) const {
  const int32_t* rows = sparse_.row_begin.data_ptr<int32_t>();
  const int32_t* columns = sparse_.columns.data_ptr<int32_t>();
  const int32_t* end = columns + rows[out + 1];
  const float* values = sparse_.values.data_ptr<float>();
  for (const int32_t* found = std::lower_bound(columns + rows[out], end, begin);
       found < end && *found < begin + depth; ++found)
    column[(*found - begin) * kernel_table().panel] = values[found - columns];
}

int64_t LookupWeight::bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& part :
       {codes_, table_, sparse_.row_begin, sparse_.columns, sparse_.values})
    if (part.defined()) bytes += static_cast<int64_t>(part.nbytes());
  return bytes;
}

}  // namespace ptq::backend
