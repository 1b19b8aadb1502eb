#pragma once
#include <cstdint>

#include "../device.h"
#include "ptq/backends/device_columns.h"

// GPTQ's columns on a device: a thread solves a row, since rows need nothing of each other.  It
// holds a panel of columns in registers; what earlier columns missed lies in shared memory, and of
// R the panel's columns only, which the threads copy while they work on the panel before it.
namespace ptq::cuda {

/// Grid (⌈rows / kThreads⌉), kThreads threads.
struct RoundColumnsShape {
  static constexpr int kThreads = 64;  ///< rows of a block
  static constexpr int kPanel = 16;    ///< columns that a thread has in registers
  static constexpr int kMost = static_cast<int>(DeviceColumns::kMost);

  /// R's columns of the panel from `first` on, [rows down to the panel's last][kPanel], in bytes.
  /// Panels take turns in two places, of which the first never holds the last and longest.
  static PTQ_HOST_DEVICE constexpr int feedback_offset(int first) {
    return first / kPanel % 2 == 0 ? 0 : (kMost - kPanel) * kPanel * 4;
  }
  /// float32 [column][kThreads + 1] behind them: threads side by side meet no bank twice, neither
  /// where each has its own row nor where they share one.
  static PTQ_HOST_DEVICE constexpr int miss_offset(int column, int row) {
    return (2 * kMost - kPanel) * kPanel * 4 + (column * (kThreads + 1) + row) * 4;
  }
  static constexpr int kSharedBytes =
      (2 * kMost - kPanel) * kPanel * 4 + kMost * (kThreads + 1) * 4;
  static_assert(kSharedBytes <= 48 * 1024, "more would have to be asked for on every device");
};

/// A thread's columns of one panel.
struct ColumnPanel {
  float current[RoundColumnsShape::kPanel];   ///< the weight with what was fed forward
  float original[RoundColumnsShape::kPanel];  ///< the weight
  float scale[RoundColumnsShape::kPanel], zero[RoundColumnsShape::kPanel];
};

/// Starts the copy of R's part above and in the panel from `first` on; zero past the last column.
PTQ_DEVICE void copy_feedback(const DeviceColumns& columns, int first) {
  using Shape = RoundColumnsShape;
  const uint32_t to = gpu::shared_memory() + Shape::feedback_offset(first);
  for (int i = gpu::thread_index(); i < (first + Shape::kPanel) * Shape::kPanel;
       i += Shape::kThreads) {
    const int row = i / Shape::kPanel;
    const int column = first + i % Shape::kPanel;
    const bool valid = row < columns.count && column < columns.count;
    gpu::copy_async_word(to + i * 4, columns.feedback + (valid ? row * columns.in + column : 0),
                         valid);
  }
  gpu::commit_copies();
}

/// Columns past the last repeat it.
PTQ_DEVICE void load_panel(const DeviceColumns& columns, int64_t row, int first,
                           ColumnPanel& panel) {
  const int last = static_cast<int>(columns.count) - 1;
#pragma unroll
  for (int i = 0; i < RoundColumnsShape::kPanel; ++i) {
    const int column = first + i < last ? first + i : last;
    const int64_t place = gpu::load_constant(columns.order + column);
    const int64_t grid = row * columns.groups + gpu::load_constant(columns.group + column);
    panel.original[i] = gpu::load_constant(columns.weight + row * columns.in + place);
    panel.scale[i] = gpu::load_constant(columns.scale + grid);
    panel.zero[i] = gpu::load_constant(columns.zero + grid);
    panel.current[i] =
        columns.update == nullptr
            ? panel.original[i]
            : panel.original[i] + gpu::load_constant(columns.update + row * columns.count + column);
  }
}

/// Adds what the columns before the panel missed, in their order.
PTQ_DEVICE void feed_forward(int first, ColumnPanel& panel) {
  using Shape = RoundColumnsShape;
  const uint32_t shared = gpu::shared_memory();
#pragma unroll 4
  for (int j = 0; j < first; ++j) {
    const float miss = gpu::load_shared_float(shared + Shape::miss_offset(j, gpu::thread_index()));
#pragma unroll
    for (int i = 0; i < Shape::kPanel; i += 4) {
      const Word4 feedback =
          gpu::load_shared4(shared + Shape::feedback_offset(first) + (j * Shape::kPanel + i) * 4);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        panel.current[i + k] =
            gpu::fused_multiply_add(miss, gpu::as_float(feedback.word[k]), panel.current[i + k]);
      }
    }
  }
}

/// round(x / scale), half to even, within the codes: the code less its zero point.
PTQ_DEVICE float round_to_grid(float x, float scale, float zero, float top) {
  constexpr float kShift = 12582912.0F;  // 1.5 · 2^23: adding it drops the fraction
  const float low = -zero, high = top - zero;
  float t = x * (1.0F / scale);
  t = t < low ? low : t;
  t = t > high ? high : t;
  return (t + kShift) - kShift;
}

/// Rounds the panel's columns from left to right: then `current` holds their codes and `original`
/// what they miss.  Adds to `errors`.
PTQ_DEVICE void round_panel(const DeviceColumns& columns, int first, ColumnPanel& panel,
                            float& errors) {
  using Shape = RoundColumnsShape;
  const uint32_t feedback = gpu::shared_memory() + Shape::feedback_offset(first);
#pragma unroll
  for (int i = 0; i < Shape::kPanel; ++i) {
    const int column = first + i;
    if (column >= columns.count) break;
    Word4 row[Shape::kPanel / 4];  // of R; here, so that it arrives while the column is rounded
#pragma unroll
    for (int k = (i + 1) / 4; k < Shape::kPanel / 4; ++k) {
      row[k] = gpu::load_shared4(feedback + (column * Shape::kPanel + 4 * k) * 4);
    }
    const float steps = round_to_grid(panel.current[i], panel.scale[i], panel.zero[i], columns.top);
    const float value = steps * panel.scale[i];  // exact: 8 bits times the scale's 11
    const float miss = panel.original[i] - value;
    const float error = panel.current[i] - value;
    errors =
        gpu::fused_multiply_add(error * error, gpu::load_constant(columns.pivot + column), errors);
    errors =
        gpu::fused_multiply_add(miss * miss, -gpu::load_constant(columns.added + column), errors);
    panel.current[i] = steps + panel.zero[i];
    panel.original[i] = miss;
#pragma unroll
    for (int k = i + 1; k < Shape::kPanel; ++k) {
      panel.current[k] =
          gpu::fused_multiply_add(miss, gpu::as_float(row[k / 4].word[k % 4]), panel.current[k]);
    }
  }
}

/// Keeps the panel's misses in shared memory and writes its codes; absent rows have none.
PTQ_DEVICE void store_panel(const DeviceColumns& columns, int64_t row, bool present, int first,
                            const ColumnPanel& panel) {
  using Shape = RoundColumnsShape;
#pragma unroll
  for (int i = 0; i < Shape::kPanel; ++i) {
    const int column = first + i;
    if (column >= columns.count) break;
    gpu::store_shared_float(gpu::shared_memory() + Shape::miss_offset(column, gpu::thread_index()),
                            panel.original[i]);
    if (present) {
      columns.q[row * columns.in + gpu::load_constant(columns.order + column)] =
          static_cast<uint8_t>(static_cast<int>(panel.current[i]));
    }
  }
}

/// The block's misses, row by row.
PTQ_DEVICE void store_misses(const DeviceColumns& columns) {
  using Shape = RoundColumnsShape;
  const int64_t first_row = static_cast<int64_t>(gpu::block_index_x()) * Shape::kThreads;
  for (int row = 0; row < Shape::kThreads && first_row + row < columns.rows; ++row) {
    float* to = columns.miss + (first_row + row) * columns.in + columns.first;
    for (int column = gpu::thread_index(); column < columns.count; column += Shape::kThreads) {
      to[column] = gpu::load_shared_float(gpu::shared_memory() + Shape::miss_offset(column, row));
    }
  }
}

PTQ_DEVICE void round_columns_kernel(const DeviceColumns& columns) {
  using Shape = RoundColumnsShape;
  int64_t row = static_cast<int64_t>(gpu::block_index_x()) * Shape::kThreads + gpu::thread_index();
  const bool present = row < columns.rows;
  if (!present) row = columns.rows - 1;  // it meets the others at barriers
  float errors = 0;
  copy_feedback(columns, 0);
  for (int first = 0; first < columns.count; first += Shape::kPanel) {
    ColumnPanel panel;
    load_panel(columns, row, first, panel);
    gpu::wait_copies<0>();
    gpu::sync_threads();  // also: all are done with the panel before this one
    if (first + Shape::kPanel < columns.count) copy_feedback(columns, first + Shape::kPanel);
    feed_forward(first, panel);
    round_panel(columns, first, panel, errors);
    store_panel(columns, row, present, first, panel);
  }
  gpu::sync_threads();
  store_misses(columns);
  if (present) columns.error[row] += static_cast<double>(errors);
}

}  // namespace ptq::cuda
