#include "instructions.h"

#include <array>
#include <cstring>

#include "emulator.h"
#include "fragments.h"

namespace ptq::cuda::emulator {
namespace {

constexpr int kWarp = 32;

// decode is too slow for thousands of multiplications.
float fast_decode(Number number, uint32_t bits) {
  static const auto kTables = [] {
    std::array<std::array<float, 65536>, 2> tables;
    for (const Number each : {Number::kFp16, Number::kBf16}) {
      for (int i = 0; i < 65536; ++i) {
        tables[static_cast<int>(each)][i] = decode(each, static_cast<uint16_t>(i));
      }
    }
    return tables;
  }();
  return kTables[static_cast<int>(number)][bits & 0xFFFFU];
}

float half_of(Number number, const uint32_t* registers, int element) {
  return fast_decode(number, registers[element / 2] >> (16 * (element % 2)));
}

struct MatrixLane {
  uint32_t* matrix;
  uint8_t row[16];
};

template <int kCount>
void distribute(void* const* lanes) {
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int i = 0; i < kCount; ++i) {
      const auto* owner = static_cast<const MatrixLane*>(lanes[8 * i + lane / 4]);
      auto* target = static_cast<MatrixLane*>(lanes[lane]);
      std::memcpy(&target->matrix[i], owner->row + lane % 4 * 4, 4);
    }
  }
}

struct MultiplyLane {
  Number number;
  float* sum;
  const uint32_t *a, *b;
};

void multiply_warp(void* const* lanes) {
  const auto lane_at = [&](int lane) -> const MultiplyLane& {
    return *static_cast<const MultiplyLane*>(lanes[lane]);
  };
  const Number number = lane_at(0).number;
  float a[16][16], b[16][8];
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int i = 0; i < 8; ++i) {
      const FragmentPlace place = fragment_a(lane, i);
      a[place.row][place.column] = half_of(number, lane_at(lane).a, i);
    }
    for (int i = 0; i < 4; ++i) {
      const FragmentPlace place = fragment_b(lane, i);
      b[place.row][place.column] = half_of(number, lane_at(lane).b, i);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const FragmentPlace place = fragment_c(lane, i);
      double total = lane_at(lane).sum[i];
      for (int k = 0; k < 16; ++k) {
        total += static_cast<double>(a[place.row][k]) * b[k][place.column];
      }
      lane_at(lane).sum[i] = static_cast<float>(total);
    }
  }
}

struct ShuffleLane {
  float value, result;
  int mask;
};

void shuffle_warp(void* const* lanes) {
  for (int lane = 0; lane < kWarp; ++lane) {
    auto* own = static_cast<ShuffleLane*>(lanes[lane]);
    own->result = static_cast<const ShuffleLane*>(lanes[lane ^ own->mask])->value;
  }
}

}  // namespace

void load_matrices(uint32_t* matrix, int count, uint32_t row_address, int site) {
  MatrixLane lane{matrix, {}};
  if (place().thread % kWarp < 8 * count) shared_read(row_address, 16, lane.row);
  warp_instruction(site, count == 4 ? distribute<4> : distribute<2>, &lane);
}

void multiply_add(Number number, float* sum, const uint32_t* a, const uint32_t* b, int site) {
  MultiplyLane lane{number, sum, a, b};
  warp_instruction(site, multiply_warp, &lane);
}

uint32_t fused_multiply_add(Number number, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const double product =
        static_cast<double>(fast_decode(number, a >> shift)) * fast_decode(number, b >> shift);
    const uint32_t half = encode(number, product + fast_decode(number, c >> shift));
    result |= half << shift;
  }
  return result;
}

float shuffle_xor(float value, int mask, int site) {
  ShuffleLane lane{value, 0, mask};
  warp_instruction(site, shuffle_warp, &lane);
  return lane.result;
}

}  // namespace ptq::cuda::emulator
