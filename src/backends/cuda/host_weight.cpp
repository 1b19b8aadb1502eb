#include "host_weight.h"

#include <algorithm>
#include <numeric>

#include <omp.h>

#include "ptq/core/error.h"

namespace ptq::cuda {
namespace {

constexpr int64_t kSmallestGroup = 32;  // a slab has room for the scales of two groups

std::string describe(float value) {
  return std::to_string(value);
}

uint8_t zero_of(const WeightArrays& weight, int64_t channel, int64_t group) {
  return weight.zeros == nullptr ? kSymmetricZero : weight.zeros[channel * weight.groups + group];
}

/// The inputs in order of their groups, keeping the order within one; empty if they are in order.
std::vector<int32_t> sorted_order(const WeightArrays& weight, int64_t group_size) {
  if (weight.group_of == nullptr) return {};
  const int32_t* group_of = weight.group_of;
  for (int64_t i = 0; i < weight.in; ++i) {
    if (group_of[i] < 0 || group_of[i] >= weight.groups) {
      throw UnsupportedError("input " + std::to_string(i) + " is in group " +
                             std::to_string(group_of[i]) + " of " + std::to_string(weight.groups));
    }
  }
  std::vector<int32_t> order(round_up(weight.in, kSlabK));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.begin() + weight.in,
                   [&](int32_t a, int32_t b) { return group_of[a] < group_of[b]; });
  for (int64_t position = 0; position < weight.in; ++position) {
    if (group_of[order[position]] != position / group_size) {
      throw UnsupportedError("group " + std::to_string(position / group_size) + " does not have " +
                                 std::to_string(group_size) +
                                 " inputs: the CUDA kernels need full groups",
                             "use another backend");
    }
  }
  return std::is_sorted(order.begin(), order.end()) ? std::vector<int32_t>{} : order;
}

HostWeight shape_of(const WeightArrays& weight, Number number) {
  HostWeight packed;
  packed.number = number;
  packed.n = weight.out;
  packed.k = weight.in;
  packed.padded_n = round_up(weight.out, kStripN);
  packed.padded_k = round_up(weight.in, kSlabK);
  packed.groups = weight.groups;
  const bool whole_row = weight.group_size == -1 || weight.group_size >= weight.in;
  packed.group_size = whole_row ? packed.padded_k : weight.group_size;
  packed.scale_rows = round_up(packed.padded_k, packed.group_size) / packed.group_size;
  if (const auto reason = unsupported_group(weight.group_size)) {
    if (!whole_row) throw UnsupportedError(*reason);
  }
  if (packed.groups != (whole_row ? 1 : (weight.in + weight.group_size - 1) / weight.group_size)) {
    throw UnsupportedError(std::to_string(weight.groups) + " groups do not fit " +
                           std::to_string(weight.in) + " inputs in groups of " +
                           std::to_string(weight.group_size));
  }
  return packed;
}

/// Padding gets the code of its zero point and scale 0: a weight of exactly 0.
void pack_scales(const WeightArrays& weight, HostWeight& packed) {
  packed.scales.assign(packed.scale_rows * packed.padded_n, 0);
  if (weight.zeros != nullptr) {
    packed.zeros.assign(packed.scale_rows * packed.padded_n / kChannelGroups, 0);
  }
  for (int64_t channel = 0; channel < packed.n; ++channel) {
    for (int64_t group = 0; group < packed.groups; ++group) {
      const float scale = weight.scales[channel * weight.groups + group];
      if (!is_exact(packed.number, scale)) {
        throw UnsupportedError("the scale " + describe(scale) + " of channel " +
                               std::to_string(channel) + " is not a " +
                               (packed.number == Number::kFp16 ? "float16" : "bfloat16"));
      }
      packed.scales[group * packed.padded_n + scale_slot(channel)] = encode(packed.number, scale);
      if (weight.zeros == nullptr) continue;
      packed.zeros[group * (packed.padded_n / kChannelGroups) + zero_word(channel)] |=
          static_cast<uint32_t>(zero_of(weight, channel, group)) << zero_shift(channel);
    }
  }
}

/// [padded_k]: the position of each input.
std::vector<int32_t> inverse(const HostWeight& packed) {
  std::vector<int32_t> position(packed.padded_k);
  std::iota(position.begin(), position.end(), 0);
  for (size_t p = 0; p < packed.order.size(); ++p) {
    position[packed.order[p]] = static_cast<int32_t>(p);
  }
  return position;
}

/// The codes of one channel; `row`, room for [padded_k], is overwritten.
void pack_channel(const WeightArrays& weight, const std::vector<int32_t>& position, int64_t channel,
                  uint8_t* row, HostWeight& packed) {
  const auto zero_at = [&](int64_t place) {
    const int64_t group = std::min(place / packed.group_size, packed.groups - 1);
    if (channel < packed.n) return zero_of(weight, channel, group);
    return static_cast<uint8_t>(weight.zeros == nullptr ? kSymmetricZero : 0);
  };
  for (int64_t place = 0; place < packed.padded_k; ++place) {
    row[place] = zero_at(place);
  }
  if (channel < packed.n) {
    for (int64_t i = 0; i < packed.k; ++i) {
      row[position[i]] = weight.codes[channel * packed.k + i];
    }
    const int32_t* begin = weight.row_begin;
    for (int64_t i = begin ? begin[channel] : 0; i < (begin ? begin[channel + 1] : 0); ++i) {
      const int32_t place = position[weight.columns[i]];
      row[place] = zero_at(place);  // the sparse value is then all there is
    }
  }
  for (int64_t place = 0; place < packed.padded_k; ++place) {
    packed.codes[code_word(place, channel, packed.padded_k)] |= static_cast<uint32_t>(row[place])
                                                                << code_shift(place, channel);
  }
}

/// Strips share no word, so that threads can take them; channels of one strip do.
void pack_codes(const WeightArrays& weight, const std::vector<int32_t>& position,
                HostWeight& packed) {
  packed.codes.assign(packed.padded_n * packed.padded_k / 8, 0);
  // Here, because no exception may leave a thread.
  std::vector<uint8_t> rows(omp_get_max_threads() * packed.padded_k);
#pragma omp parallel for schedule(static)
  for (int64_t strip = 0; strip < packed.padded_n / kStripN; ++strip) {
    uint8_t* row = rows.data() + omp_get_thread_num() * packed.padded_k;
    for (int64_t channel = strip * kStripN; channel < (strip + 1) * kStripN; ++channel) {
      pack_channel(weight, position, channel, row, packed);
    }
  }
}

void pack_sparse(const WeightArrays& weight, const std::vector<int32_t>& position,
                 HostWeight& packed) {
  if (weight.row_begin == nullptr || weight.row_begin[weight.out] == 0) return;
  SparsePieces& sparse = packed.sparse;
  for (int64_t channel = 0; channel < packed.n; ++channel) {
    sparse.first_piece.push_back(static_cast<int32_t>(sparse.piece_begin.size()));
    const int32_t end = weight.row_begin[channel + 1];
    for (int32_t i = weight.row_begin[channel]; i < end; i += kPieceValues) {
      sparse.piece_begin.push_back(i);
    }
    for (int32_t i = weight.row_begin[channel]; i < end; ++i) {
      sparse.positions.push_back(position[weight.columns[i]]);
      sparse.values.push_back(encode(packed.number, weight.values[i]));
    }
  }
  sparse.first_piece.push_back(static_cast<int32_t>(sparse.piece_begin.size()));
  sparse.piece_begin.push_back(weight.row_begin[weight.out]);
}

}  // namespace

std::optional<std::string> unsupported_group(int64_t group_size) {
  const bool power_of_two = (group_size & (group_size - 1)) == 0;
  if (group_size == -1 || (group_size >= kSmallestGroup && power_of_two)) return std::nullopt;
  return "the CUDA kernels take groups of 32, 64, 128 and so on, and whole rows, not of " +
         std::to_string(group_size);
}

std::optional<Number> exact_number(const WeightArrays& weight) {
  const float* end = weight.scales + weight.out * weight.groups;
  for (const Number number : {Number::kBf16, Number::kFp16}) {
    if (std::all_of(weight.scales, end, [&](float s) { return is_exact(number, s); })) {
      return number;
    }
  }
  return std::nullopt;
}

HostWeight pack(const WeightArrays& weight, Number number) {
  HostWeight packed = shape_of(weight, number);
  packed.order = sorted_order(weight, packed.group_size);
  const std::vector<int32_t> position = inverse(packed);
  pack_scales(weight, packed);
  pack_codes(weight, position, packed);
  pack_sparse(weight, position, packed);
  if (!packed.order.empty()) packed.position = position;
  return packed;
}

W4a16Weight view_of(const HostWeight& weight) {
  const auto data = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
  W4a16Weight view{};
  view.number = static_cast<int32_t>(weight.number);
  view.tile_shift = tile_shift(weight);
  view.n = weight.n;
  view.k = weight.k;
  view.padded_n = weight.padded_n;
  view.padded_k = weight.padded_k;
  view.scale_rows = weight.scale_rows;
  view.codes = weight.codes.data();
  view.scales = weight.scales.data();
  view.zeros = data(weight.zeros);
  view.order = data(weight.order);
  view.position = data(weight.position);
  view.first_piece = data(weight.sparse.first_piece);
  view.piece_begin = data(weight.sparse.piece_begin);
  view.sparse_positions = data(weight.sparse.positions);
  view.sparse_values = data(weight.sparse.values);
  view.sparse_values_count = static_cast<int64_t>(weight.sparse.values.size());
  view.pieces = static_cast<int64_t>(weight.sparse.piece_begin.size()) - 1;
  return view;
}

int tile_shift(const HostWeight& weight) {
  if (weight.scale_rows == 1) return 30;
  int shift = 0;
  while (int64_t{kTileK} << shift < weight.group_size) {
    ++shift;
  }
  return shift;
}

uint8_t packed_code(const HostWeight& weight, int64_t channel, int64_t position) {
  const uint32_t word = weight.codes[code_word(position, channel, weight.padded_k)];
  return static_cast<uint8_t>(word >> code_shift(position, channel) & 15U);
}

uint8_t packed_zero(const HostWeight& weight, int64_t channel, int64_t group) {
  if (weight.zeros.empty()) return kSymmetricZero;
  const uint32_t word =
      weight.zeros[group * (weight.padded_n / kChannelGroups) + zero_word(channel)];
  return static_cast<uint8_t>(word >> zero_shift(channel) & 15U);
}

float packed_scale(const HostWeight& weight, int64_t channel, int64_t group) {
  return decode(weight.number, weight.scales[group * weight.padded_n + scale_slot(channel)]);
}

}  // namespace ptq::cuda
