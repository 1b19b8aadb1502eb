#pragma once
#include "annotations.h"

// Which matrix element a lane holds in register half i of mma.sync.m16n8k16 with 16-bit inputs, as
// "Matrix Fragments for mma.m16n8k16" of the PTX manual lays it down.  A [16, 16] = rows of the
// result × depth, B [16, 8] = depth × columns, C and D [16, 8].
namespace ptq::cuda {

struct FragmentPlace {
  int row, column;
};

/// Element i (0 … 7) of A; register i / 2 holds elements 2 (i / 2) and the next.
PTQ_HOST_DEVICE constexpr FragmentPlace fragment_a(int lane, int i) {
  return {lane / 4 + i / 2 % 2 * 8, lane % 4 * 2 + i % 2 + i / 4 * 8};
}
/// Element i (0 … 3) of B.
PTQ_HOST_DEVICE constexpr FragmentPlace fragment_b(int lane, int i) {
  return {lane % 4 * 2 + i % 2 + i / 2 * 8, lane / 4};
}
/// Element i (0 … 3) of C and D.
PTQ_HOST_DEVICE constexpr FragmentPlace fragment_c(int lane, int i) {
  return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2};
}

}  // namespace ptq::cuda
