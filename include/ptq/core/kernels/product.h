#pragma once
#include <cstdint>

namespace ptq::kernels {

/// C (+)= A·B for row-major A [rows, depth] and C [rows, columns] and B in packed panels: panel j
/// is a row-major [depth, panel] matrix of columns j·panel …, at b + j·panel_stride.
struct Product {
  const float* a = nullptr;
  int64_t a_stride = 0;   ///< floats from a row to the next, likewise below
  bool packed_a = false;  ///< A comes in panels of ProductKernel::kRows rows, column by column,
                          ///< a_stride = depth
  const float* b = nullptr;
  int64_t panel_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  int64_t rows = 0, depth = 0, columns = 0;
  bool add = false;  ///< adds to C instead of setting it
  /// Leaves out tiles wholly below the diagonal of a greater matrix, in which C's first row is
  /// `lead` below the row that meets the diagonal in C's first column.
  int64_t lead = INT64_MIN / 2;
};

/// A row-major [depth, columns] matrix to pack.
template <class T>
struct Columns {
  const T* data = nullptr;
  int64_t stride = 0;  ///< floats from a row to the next
  int64_t columns = 0, depth = 0;
  const float* weights = nullptr;  ///< [depth] multiplied into the rows, or null
};

}  // namespace ptq::kernels
