#include "cpu_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/core/parallel.h"

namespace ptq::backend {
namespace {

/// Whether code·scale needs no rounding for a code of 12 bits: at most 12 significant bits and
/// far from overflow.
bool is_short(float scale) {
  uint32_t bits = 0;
  std::memcpy(&bits, &scale, sizeof(bits));
  return (bits & 0xFFFU) == 0 && std::abs(scale) < 0x1p100F;
}

/// The first format of 16 bits that holds every one of `scales`, or float32.
at::ScalarType narrowest(const at::Tensor& scales) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16})
    if (scales.to(type).to(at::kFloat).equal(scales)) return type;
  return at::kFloat;
}

}  // namespace

CpuWeight::CpuWeight(const QuantizedTensor& weight, const SparseWeight* sparse)
    : out_features_(weight.out_features()),
      groups_(weight.scale.size(1)),
      order_(column_order(weight.group_of, groups_)) {
  if (sparse != nullptr && sparse->count() > 0) pack_sparse(*sparse);
  pack_grid(weight);
  pack_words(weight);
}

void CpuWeight::pack_sparse(const SparseWeight& sparse) {
  const int32_t* begin = sparse.row_begin.data_ptr<int32_t>();
  const int32_t* column = sparse.columns.data_ptr<int32_t>();
  const float* value = sparse.values.data_ptr<float>();
  replaced_begin_.assign(begin, begin + out_features_ + 1);
  for (int64_t i = 0; i < sparse.count(); ++i)
    replaced_.push_back({order_.position[static_cast<size_t>(column[i])], value[i]});
  for (int64_t out = 0; out < out_features_; ++out)
    std::sort(replaced_.begin() + begin[out], replaced_.begin() + begin[out + 1],
              [](const Replaced& a, const Replaced& b) { return a.position < b.position; });
}

void CpuWeight::pack_grid(const QuantizedTensor& weight) {
  const at::Tensor scales = weight.scale.contiguous(), zeros = weight.zero.contiguous();
  const int64_t padded = round_up(out_features_, kOutputMultiple);
  scale_ = at::zeros({padded * groups_}, at::kFloat);
  if (!weight.scheme.symmetric) zero_ = at::zeros({padded * groups_}, at::kByte);
  for (int64_t out = 0; out < out_features_; ++out)
    for (int64_t group = 0; group < groups_; ++group) {
      const int64_t from = out * groups_ + group, to = scale_index(out, group, groups_);
      const float scale = scales.data_ptr<float>()[from];
      exact_products_ = exact_products_ && is_short(scale);
      scale_.data_ptr<float>()[to] = scale;
      if (zero_.defined()) zero_.data_ptr<uint8_t>()[to] = zeros.data_ptr<uint8_t>()[from];
    }
  scale_ = scale_.to(narrowest(scales));
}

void CpuWeight::pack_words(const QuantizedTensor& weight) {
  const at::Tensor codes = weight.q.contiguous();
  const int64_t in = codes.size(1), words = order_.positions() / kWordCodes;
  words_ = at::zeros({round_up(out_features_, kOutputMultiple) * words}, at::kInt);
  int32_t* to = words_.data_ptr<int32_t>();
  const uint8_t* from = codes.data_ptr<uint8_t>();
  at::parallel_for(0, out_features_, 1 + (1 << 15) / (in + 1), [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out)
      for (int64_t word = 0; word < words; ++word) {
        uint32_t bits = 0;
        for (int64_t i = 0; i < kWordCodes; ++i) {
          const int32_t feature = order_.source[static_cast<size_t>(word * kWordCodes + i)];
          if (feature >= 0) bits |= static_cast<uint32_t>(from[out * in + feature]) << bit_of(i);
        }
        std::memcpy(to + word_index(out, word * kWordCodes, words), &bits, sizeof(bits));
      }
  });
}

Int4Weight CpuWeight::view() const {
  const void* words = words_.data_ptr<int32_t>();
  Int4Weight view;
  view.words = static_cast<const uint32_t*>(words);
  if (scale_.scalar_type() == at::kFloat) {
    view.scale = scale_.data_ptr<float>();
  } else {
    view.short_scale = static_cast<const uint16_t*>(scale_.data_ptr());
    const bool half = scale_.scalar_type() == at::kHalf;
    view.short_shift = half ? 13 : 16;
    view.short_factor = half ? 0x1p112F : 1.0F;  // 2^(127 − 15): the difference of the biases
  }
  view.zero = zero_.defined() ? zero_.data_ptr<uint8_t>() : nullptr;
  view.words_per_output = order_.positions() / kWordCodes;
  view.groups = groups_;
  view.exact_products = exact_products_;
  return view;
}

at::Tensor CpuWeight::in_order(const at::Tensor& x) const {
  if (order_.in_place) return x;
  const int64_t positions = order_.positions();
  at::Tensor sorted = at::empty({x.size(0), positions}, at::kFloat);
  const float* from = x.data_ptr<float>();
  float* to = sorted.data_ptr<float>();
  at::parallel_for(0, x.size(0), 1 + (1 << 15) / (positions + 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = 0; i < positions; ++i) {
        const int32_t feature = order_.source[static_cast<size_t>(i)];
        to[row * positions + i] = feature < 0 ? 0 : from[row * x.stride(0) + feature];
      }
  });
  return sorted;
}

void CpuWeight::multiply(const at::Tensor& x, const at::Tensor& y) const {
  const at::Tensor sorted = in_order(x);
  // Values that replace weights are written into dequantized panels, for any number of rows: a
  // sum in another order would tell rows of small batches from the same rows in large ones.
  if (x.size(0) <= kernel_table().stream_rows && replaced_.empty())
    stream(sorted, y);
  else
    multiply_blocked(sorted, *this, y);
}

void CpuWeight::stream(const at::Tensor& x, const at::Tensor& y) const {
  StreamTask whole;
  whole.weight = view();
  whole.runs = order_.runs.data();
  whole.run_begin = order_.run_begin.data();
  whole.stretches = order_.stretches();
  whole.x = x.data_ptr<float>();
  whole.x_stride = x.stride(0);
  whole.y = y.data_ptr<float>();
  whole.y_stride = y.stride(0);
  whole.rows = x.size(0);
  constexpr int64_t kTaskOutputs = 128;
  static_assert(kTaskOutputs % kOutputMultiple == 0, "tasks begin with whole panels");
  if (whole.rows == 0) return;
  parallel_tasks((out_features_ + kTaskOutputs - 1) / kTaskOutputs, [&](int64_t i) {
    StreamTask task = whole;
    task.first = i * kTaskOutputs;
    task.count = std::min(kTaskOutputs, out_features_ - task.first);
    kernel_table().stream(task);
  });
}

void CpuWeight::fill(int64_t first, int64_t begin, int64_t depth, float* panel) const {
  const KernelTable& kernel = kernel_table();
  const auto stretch = static_cast<size_t>(begin / kDepth);
  FillTask task;
  task.weight = view();
  task.begin = order_.runs.data() + order_.run_begin[stretch];
  task.end = order_.runs.data() + order_.run_begin[stretch + 1];
  task.first = first;
  task.panel = panel;
  kernel.fill(task);
  if (replaced_.empty()) return;
  for (int64_t out = first; out < std::min(first + kernel.panel, out_features_); ++out) {
    const Replaced* end = replaced_.data() + replaced_begin_[static_cast<size_t>(out) + 1];
    const Replaced* found = std::lower_bound(
        replaced_.data() + replaced_begin_[static_cast<size_t>(out)], end, begin,
        [](const Replaced& entry, int64_t position) { return entry.position < position; });
    for (; found < end && found->position < begin + depth; ++found)
      panel[(found->position - begin) * kernel.panel + out - first] = found->value;
  }
}

int64_t CpuWeight::bytes() const {
  const auto order = order_.source.size() + order_.position.size() + replaced_begin_.size();
  return words_.numel() * 4 + static_cast<int64_t>(scale_.nbytes()) +
         (zero_.defined() ? zero_.numel() : 0) +
         static_cast<int64_t>(order * sizeof(int32_t) + order_.runs.size() * sizeof(Run) +
                              replaced_.size() * sizeof(Replaced));
}

}  // namespace ptq::backend
