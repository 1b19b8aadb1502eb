#pragma once
#include <algorithm>
#include <cstdint>

#include "grid_kernel.h"

namespace ptq::quantizer::kernels {

/// Some consecutive columns of all rows of a weight, their codes to be improved one by one.
struct DescentBlock {
  static constexpr int64_t kMost = 128;  ///< columns

  const float* gradient;  ///< [rows, count] half the objective's gradient
  const float* corner;    ///< [count, count] H of the block
  int64_t in, first, count;
  int64_t group_length;
  const float* scale;   ///< [rows, groups]
  const uint8_t* zero;  ///< [rows, groups]
  int64_t groups;
  float top;         ///< the highest code
  uint8_t* q;        ///< [rows, in]
  float* miss;       ///< [rows, in] ŵ − w
  double* fall;      ///< [rows] what the objective fell by is added
  int64_t* changed;  ///< [rows] codes that changed are added
};

/// Moves each column's codes to the best point of its grid, all others as they are.  W rows go side
/// by side, one a lane.
struct DescendColumns {
  template <int W>
  [[gnu::always_inline]] static void run(const DescentBlock& block, int64_t begin, int64_t end) {
    Tile<W> tile;
    for (int64_t row = begin; row < end; row += W) {
      const int rows = static_cast<int>(std::min<int64_t>(W, end - row));
      load_tile(block, row, rows, tile);
      descend(block, row, rows, tile);
      store_tile(block, row, rows, tile);
    }
  }

 private:
  template <int W>
  struct Tile {
    alignas(64) float gradient[DescentBlock::kMost][W];
    alignas(64) float steps[DescentBlock::kMost][W];  ///< signed codes
    alignas(64) float moved[DescentBlock::kMost][W];  ///< what ŵ changed by
    alignas(64) float fall[W], changed[W];
  };

  template <int W>
  [[gnu::always_inline]] static void load_tile(const DescentBlock& block, int64_t row, int rows,
                                               Tile<W>& tile) {
    for (int lane = 0; lane < W; ++lane) {
      const int64_t from = row + std::min(lane, rows - 1);  // absent rows repeat the last
      const uint8_t* q = block.q + from * block.in + block.first;
      const uint8_t* zero = block.zero + from * block.groups;
      for (int64_t i = 0; i < block.count; ++i) {
        tile.gradient[i][lane] = block.gradient[from * block.count + i];
        tile.steps[i][lane] =
            static_cast<float>(q[i]) - zero[(block.first + i) / block.group_length];
      }
    }
  }

  /// Scale, inverse and zero point of W rows in one group.
  template <int W>
  struct Grid {
    alignas(64) float scale[W], inverse[W], zero[W];
  };

  template <int W>
  [[gnu::always_inline]] static void load_grid(const DescentBlock& block, int64_t row, int rows,
                                               int64_t group, Grid<W>& grid) {
    for (int lane = 0; lane < W; ++lane) {
      const int64_t at = (row + std::min(lane, rows - 1)) * block.groups + group;
      grid.scale[lane] = block.scale[at];
      grid.inverse[lane] = 1.0F / block.scale[at];
      grid.zero[lane] = block.zero[at];
    }
  }

  template <int W>
  [[gnu::always_inline]] static void descend(const DescentBlock& block, int64_t row, int rows,
                                             Tile<W>& tile) {
    Grid<W> grid;
    int64_t group = -1;
    Vector<W> fall = {}, changed = {};
    for (int64_t i = 0; i < block.count; ++i) {
      if ((block.first + i) / block.group_length != group) {
        group = (block.first + i) / block.group_length;
        load_grid<W>(block, row, rows, group, grid);
      }
      const float* h = block.corner + i * block.count;
      Vector<W> scale, inverse, zero, gradient, old, steps;
      load(scale, grid.scale);
      load(inverse, grid.inverse);
      load(zero, grid.zero);
      load(gradient, tile.gradient[i]);
      load(old, tile.steps[i]);
      const Vector<W> low = -zero, high = block.top - zero;
      round_to_grid(steps, Vector<W>(old * scale - gradient * (1.0F / h[i])), inverse, low, high);
      Vector<W> move = (steps - old) * scale;
      const Vector<W> change = move * (2.0F * gradient + move * h[i]);
      // A tie, or what rounding made of one, must not move: the objective may only fall.
      const Vector<W> none = {};
      const Vector<W> bound = move * gradient * 1e-5F;
      const auto better = change < (bound < none ? bound : Vector<W>(-bound));
      move = better ? move : none;
      fall -= better ? change : none;
      changed += better ? Vector<W>(none + 1.0F) : none;
      store(tile.steps[i], Vector<W>(better ? steps : old));
      store(tile.moved[i], move);
      for (int64_t k = i + 1; k < block.count; ++k) {
        Vector<W> later;
        load(later, tile.gradient[k]);
        later += move * h[k];
        store(tile.gradient[k], later);
      }
    }
    store(tile.fall, fall);
    store(tile.changed, changed);
  }

  template <int W>
  [[gnu::always_inline]] static void store_tile(const DescentBlock& block, int64_t row, int rows,
                                                const Tile<W>& tile) {
    for (int lane = 0; lane < rows; ++lane) {
      const int64_t to = row + lane;
      uint8_t* q = block.q + to * block.in + block.first;
      float* miss = block.miss + to * block.in + block.first;
      const uint8_t* zero = block.zero + to * block.groups;
      for (int64_t i = 0; i < block.count; ++i) {
        const float code = tile.steps[i][lane] + zero[(block.first + i) / block.group_length];
        q[i] = static_cast<uint8_t>(static_cast<int>(code));
        miss[i] += tile.moved[i][lane];
      }
      block.fall[to] += static_cast<double>(tile.fall[lane]);
      block.changed[to] += static_cast<int64_t>(tile.changed[lane]);
    }
  }
};

}  // namespace ptq::quantizer::kernels
