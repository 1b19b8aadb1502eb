#pragma once
#include <cstdint>

#include "number.h"

// The arithmetic of emulated instructions.
namespace ptq::cuda::emulator {

/// ldmatrix of `count` (2 or 4) 8 x 8 matrices of 16-bit values.
void load_matrices(uint32_t* matrix, int count, uint32_t row_address, int site);

/// mma.sync.m16n8k16: products and their sum in float64, rounded to float32 once.  (The tensor
/// core's own additions may truncate: the bound in docs/numerics.md has room for both.)
void multiply_add(Number number, float* sum, const uint32_t* a, const uint32_t* b, int site);

/// a b + c on both halves of a pair, rounded once wherever a b + c is exact in float64: with c = 0,
/// and for the small integers of a dequantization.
uint32_t fused_multiply_add(Number number, uint32_t a, uint32_t b, uint32_t c);

float shuffle_xor(float value, int mask, int site);

}  // namespace ptq::cuda::emulator
