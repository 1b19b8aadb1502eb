#pragma once
#include <cstdint>

#include "../cpu_layout.h"
#include "ptq/core/kernels/product.h"

namespace ptq::backend {

/// A weight of 4-bit codes in the cpu backend's layout.
struct Int4Weight {
  const uint32_t* words = nullptr;  ///< at word_index
  // One of both holds the scales, at scale_index.
  const float* scale = nullptr;
  const uint16_t* short_scale = nullptr;  ///< 16 bits: a sign above the exponent and fraction …
  int short_shift = 0;            ///< … that, moved up by this, are those of a float32 …
  float short_factor = 1.0F;      ///< … which this power of two scales
  const uint8_t* zero = nullptr;  ///< at scale_index; null: 8 throughout
  int64_t words_per_output = 0, groups = 0;
  /// Scales have at most 12 significant bits, as float16 and bfloat16 do, and are far from
  /// overflow: a code is scaled by one exact fused step.
  bool exact_products = false;
};

/// y = x Wᵀ for a few rows and the outputs first … first + count − 1.
struct StreamTask {
  Int4Weight weight;
  const Run* runs = nullptr;           ///< all of them
  const int64_t* run_begin = nullptr;  ///< [stretches + 1]: the runs of each stretch of kDepth
  int64_t stretches = 0;
  const float* x = nullptr;  ///< [rows, positions]
  int64_t x_stride = 0;      ///< floats from a row to the next, likewise below
  float* y = nullptr;        ///< [rows, outputs]
  int64_t y_stride = 0;
  int64_t rows = 0;
  int64_t first = 0, count = 0;  ///< first: a multiple of kOutputMultiple
};

/// One panel of Wᵀ: the positions of some runs of KernelTable::panel outputs.
struct FillTask {
  Int4Weight weight;
  const Run *begin = nullptr, *end = nullptr;  ///< runs
  int64_t first = 0;                           ///< output
  float* panel = nullptr;                      ///< [positions, panel]
};

/// What is compiled once for each instruction set.
struct KernelTable {
  const char* name;
  int64_t panel;        ///< outputs of a packed panel of Wᵀ
  int64_t rows;         ///< rows of a packed panel of x
  int64_t stream_rows;  ///< most rows of a StreamTask
  void (*stream)(const StreamTask&);
  void (*fill)(const FillTask&);
  /// Packs rows of x, row-major [rows, depth], as panels; missing rows are 0.
  void (*pack_left)(const float* x, int64_t stride, int64_t rows, int64_t depth, float* panels);
  void (*multiply)(const kernels::Product&);
};

/// The kernels of the best instruction set this machine has, chosen once.
const KernelTable& kernel_table();

}  // namespace ptq::backend
