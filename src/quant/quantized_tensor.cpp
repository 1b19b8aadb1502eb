#include "ptq/quant/quantized_tensor.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// Length of the runs if `group_of` is i / length throughout, else 0.
int64_t contiguous_length(const at::Tensor& group_of, int64_t groups) {
  const int64_t in = group_of.size(0);
  const int32_t* of = group_of.data_ptr<int32_t>();
  const int64_t length = std::find_if(of, of + in, [](int32_t g) { return g != 0; }) - of;
  if (length == 0 || (in + length - 1) / length != groups) return 0;
  for (int64_t i = 0; i < in; ++i)
    if (of[i] != i / length) return 0;
  return length;
}

struct Rows {
  const uint8_t* q;
  const float* scale;
  const uint8_t* zero;
  const int32_t* group_of;
  int64_t in, groups;
  float* out;
};

void dequantize_runs(const Rows& rows, int64_t row, int64_t length) {
  const uint8_t* q = rows.q + row * rows.in;
  float* out = rows.out + row * rows.in;
  for (int64_t g = 0; g < rows.groups; ++g) {
    const float scale = rows.scale[row * rows.groups + g];
    const int zero = rows.zero[row * rows.groups + g];
    const int64_t end = std::min((g + 1) * length, rows.in);
    for (int64_t i = g * length; i < end; ++i)
      out[i] = scale * static_cast<float>(q[i] - zero);
  }
}

void dequantize_scattered(const Rows& rows, int64_t row) {
  const uint8_t* q = rows.q + row * rows.in;
  const float* scale = rows.scale + row * rows.groups;
  const uint8_t* zero = rows.zero + row * rows.groups;
  float* out = rows.out + row * rows.in;
  for (int64_t i = 0; i < rows.in; ++i) {
    const int32_t g = rows.group_of[i];
    out[i] = scale[g] * static_cast<float>(q[i] - zero[g]);
  }
}

/// Every code's entry in the table of its row.
at::Tensor looked_up(const at::Tensor& q, const at::Tensor& table) {
  const at::Tensor codes = q.contiguous(), entries = table.contiguous();
  const int64_t in = codes.size(1), count = entries.size(1);
  at::Tensor weight = at::empty(codes.sizes(), at::kFloat);
  at::parallel_for(0, codes.size(0), 1 + (1 << 15) / (in + 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* entry = entries.data_ptr<float>() + row * count;
      const uint8_t* code = codes.data_ptr<uint8_t>() + row * in;
      std::transform(code, code + in, weight.data_ptr<float>() + row * in,
                     [entry](uint8_t of) { return entry[of]; });
    }
  });
  return weight;
}

void require(bool holds, const std::string& fault) {
  if (!holds) throw std::logic_error("QuantizedTensor: " + fault);
}

int largest(const at::Tensor& bytes) {
  return bytes.numel() == 0 ? 0 : bytes.max().item<int>();
}

void check_table(const QuantizedTensor& weight) {
  const at::Tensor& table = weight.table;
  const int64_t entries = int64_t{1} << weight.scheme.bits;
  require(!weight.scale.defined() && !weight.zero.defined(), "a table has a scale or zero point");
  require(table.defined() && table.scalar_type() == at::kFloat &&
              table.sizes().equals({weight.out_features(), entries}),
          "table must be float32 [out, 2^bits]");
  require(table.isfinite().all().item<bool>(), "an entry of a table is not finite");
  require(table.narrow(1, 1, entries - 1).ge(table.narrow(1, 0, entries - 1)).all().item<bool>(),
          "a table falls within a row");
}

void check_grids(const QuantizedTensor& weight, int64_t groups) {
  const at::Tensor &scale = weight.scale, &zero = weight.zero;
  const at::IntArrayRef shape = scale.sizes();
  require(scale.scalar_type() == at::kFloat && shape.equals({weight.out_features(), groups}),
          "scale must be float32 [out, groups]");
  require(zero.scalar_type() == at::kByte && zero.sizes().equals(shape),
          "zero must be uint8 [out, groups]");
  const int levels = 1 << weight.scheme.bits;
  require(largest(zero) < levels, "a zero point is above 2^bits - 1");
  require(!weight.scheme.symmetric || zero.eq(levels / 2).all().item<bool>(),
          "a zero point of a symmetric scheme is not 2^(bits-1)");
  require(scale.isfinite().logical_and(scale.ne(0)).all().item<bool>(),
          "a scale is 0 or not finite");
  require(!weight.table.defined(), "a weight on grids has a table");
}

}  // namespace

at::Tensor QuantizedTensor::dequantize() const {
  if (scheme.lookup) return looked_up(q, table);
  const at::Tensor codes = q.contiguous(), scales = scale.contiguous(), zeros = zero.contiguous(),
                   group = group_of.contiguous();
  const int64_t out = codes.size(0), in = codes.size(1), groups = scales.size(1);
  at::Tensor weight = at::empty({out, in}, at::kFloat);
  const Rows rows{codes.data_ptr<uint8_t>(),
                  scales.data_ptr<float>(),
                  zeros.data_ptr<uint8_t>(),
                  group.data_ptr<int32_t>(),
                  in,
                  groups,
                  weight.data_ptr<float>()};
  const int64_t length = contiguous_length(group, groups);
  at::parallel_for(0, out, 1 + (1 << 15) / (in + 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      if (length > 0)
        dequantize_runs(rows, row, length);
      else
        dequantize_scattered(rows, row);
    }
  });
  return weight;
}

void QuantizedTensor::check() const {
  scheme.check();
  require(q.dim() == 2 && q.scalar_type() == at::kByte, "q must be uint8 [out, in]");
  const int64_t groups = scheme.groups(in_features());
  if (scheme.lookup)
    check_table(*this);
  else
    check_grids(*this, groups);
  require(group_of.scalar_type() == at::kInt && group_of.dim() == 1 &&
              group_of.size(0) == in_features(),
          "group_of must be int32 [in]");
  require(largest(q) < 1 << scheme.bits, "a code is above 2^bits - 1");
  require(group_of.ge(0).logical_and(group_of.lt(groups)).all().item<bool>(),
          "a group index is out of range");
}

at::Tensor contiguous_groups(const QuantScheme& scheme, int64_t in_features) {
  at::Tensor groups = at::empty({in_features}, at::kInt);
  const int64_t length = scheme.group_length(in_features);
  int32_t* of = groups.data_ptr<int32_t>();
  for (int64_t i = 0; i < in_features; ++i)
    of[i] = static_cast<int32_t>(i / length);
  return groups;
}

at::Tensor storable_scale(const at::Tensor& scale, at::ScalarType model_dtype) {
  constexpr float kSmallest = 0x1p-24f, kLargest = 65504.0f;  // of float16
  at::Tensor stored = scale.to(at::kHalf).to(at::kFloat).contiguous();
  if (model_dtype == at::kBFloat16) stored = stored.to(at::kBFloat16).to(at::kFloat);
  float* value = stored.data_ptr<float>();
  for (int64_t i = 0; i < stored.numel(); ++i) {
    if (!(std::abs(value[i]) <= kLargest))
      throw NumericalError("a scale of " + std::to_string(scale.flatten()[i].item<double>()) +
                               " does not fit into float16 (at most 65504)",
                           "the weights are too large for 16-bit scales: skip this linear");
    if (value[i] == 0.0f) value[i] = std::copysign(kSmallest, value[i]);
  }
  return stored;
}

at::Tensor storable_entries(const at::Tensor& values) {
  // Adding 0 leaves no negative zero.
  at::Tensor stored = values.to(at::kHalf).to(at::kFloat).add_(0);
  if (!stored.isfinite().all().item<bool>())
    throw NumericalError("an entry of a table does not fit into float16 (at most 65504)",
                         "the weights are too large for tables of 16 bits: skip this linear");
  return stored;
}

}  // namespace ptq
