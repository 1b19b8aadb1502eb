#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "grid_kernel.h"

namespace ptq::quantizer::kernels {

/// Some consecutive columns, in solving order, of all rows of a weight.
struct ColumnBlock {
  static constexpr int64_t kMost = 128;  ///< columns

  const float* weight;    ///< [rows, in] in its own column order
  const float* update;    ///< [rows, count] fed forward by earlier blocks, or null
  const float* feedback;  ///< R at the block's corner
  int64_t in;             ///< columns of weight, feedback, q and miss
  int64_t first, count;   ///< the block in solving order
  const int64_t* order;   ///< [count] the columns' places in the weight
  const int32_t* group;   ///< [count] their groups
  const float* pivot;     ///< [count]
  const float* added;     ///< [count]
  const float* scale;     ///< [rows, groups]
  const uint8_t* zero;    ///< [rows, groups]
  int64_t groups;
  float top;      ///< the highest code
  uint8_t* q;     ///< [rows, in] in the weight's own column order
  float* miss;    ///< [rows, in] w − q in solving order
  double* error;  ///< [rows] Σ pivot·(rounding error)² − Σ added·miss² is added
};

/// Rounds a block's columns one after the other.  W rows are solved side by side, one a lane.
struct RoundColumns {
  template <int W>
  [[gnu::always_inline]] static void run(const ColumnBlock& block, int64_t begin, int64_t end) {
    Tile<W> tile;
    std::vector<float> grids(static_cast<size_t>(3 * W * block.groups));
    for (int64_t row = begin; row < end; row += W) {
      const int rows = static_cast<int>(std::min<int64_t>(W, end - row));
      load_grids<W>(block, row, rows, grids.data());
      load_weights(block, row, rows, tile);
      round_tile(block, grids.data(), tile);
      store_tile(block, row, rows, tile);
    }
  }

 private:
  template <int W>
  struct Tile {
    alignas(64) float current[ColumnBlock::kMost][W];   ///< with what was fed forward; then misses
    alignas(64) float original[ColumnBlock::kMost][W];  ///< then codes
    alignas(64) float error[W];
  };

  /// For every group: W scales, W inverses, W zero points.
  template <int W>
  [[gnu::always_inline]] static void load_grids(const ColumnBlock& block, int64_t row, int rows,
                                                float* grids) {
    for (int lane = 0; lane < W; ++lane) {
      const int64_t from = row + std::min(lane, rows - 1);
      for (int64_t g = 0; g < block.groups; ++g) {
        const float scale = block.scale[from * block.groups + g];
        float* grid = grids + g * 3 * W + lane;
        grid[0] = scale;
        grid[W] = 1.0F / scale;
        grid[2 * W] = block.zero[from * block.groups + g];
      }
    }
  }

  template <int W>
  [[gnu::always_inline]] static void load_weights(const ColumnBlock& block, int64_t row, int rows,
                                                  Tile<W>& tile) {
    for (int lane = 0; lane < W; ++lane) {
      const int64_t from = row + std::min(lane, rows - 1);  // absent rows repeat the last
      const float* weight = block.weight + from * block.in;
      for (int64_t i = 0; i < block.count; ++i) {
        const float w = weight[block.order[i]];
        tile.original[i][lane] = w;
        tile.current[i][lane] =
            block.update != nullptr ? w + block.update[from * block.count + i] : w;
      }
    }
  }

  template <int W>
  [[gnu::always_inline]] static void round_tile(const ColumnBlock& block, const float* grids,
                                                Tile<W>& tile) {
    Vector<W> errors = {};
    for (int64_t i = 0; i < block.count; ++i) {
      const float* grid = grids + block.group[i] * 3 * W;
      Vector<W> scale, inverse, zero, current, original, steps;
      load(scale, grid);
      load(inverse, grid + W);
      load(zero, grid + 2 * W);
      load(current, tile.current[i]);
      load(original, tile.original[i]);
      const Vector<W> low = -zero, high = block.top - zero;
      round_to_grid(steps, current, inverse, low, high);
      const Vector<W> value = steps * scale;
      const Vector<W> miss = original - value;
      const Vector<W> error = current - value;
      errors += error * error * block.pivot[i] - miss * miss * block.added[i];
      store(tile.current[i], miss);
      store(tile.original[i], Vector<W>(steps + zero));
      const float* feedback = block.feedback + i * block.in;
      for (int64_t k = i + 1; k < block.count; ++k) {
        Vector<W> later;
        load(later, tile.current[k]);
        later += miss * feedback[k];
        store(tile.current[k], later);
      }
    }
    store(tile.error, errors);
  }

  template <int W>
  [[gnu::always_inline]] static void store_tile(const ColumnBlock& block, int64_t row, int rows,
                                                const Tile<W>& tile) {
    for (int lane = 0; lane < rows; ++lane) {
      float* miss = block.miss + (row + lane) * block.in + block.first;
      uint8_t* q = block.q + (row + lane) * block.in;
      for (int64_t i = 0; i < block.count; ++i) {
        miss[i] = tile.current[i][lane];
        q[block.order[i]] = static_cast<uint8_t>(static_cast<int>(tile.original[i][lane]));
      }
      block.error[row + lane] += static_cast<double>(tile.error[lane]);
    }
  }
};

}  // namespace ptq::quantizer::kernels
