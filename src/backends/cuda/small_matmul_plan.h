#pragma once
#include <cstdint>

#include "layout.h"

namespace ptq::cuda {

/// How kernel S covers a product.
struct SmallMatmulPlan {
  int tokens;  ///< of a block: 8, 16, 32 or 64
  int channel_tiles, token_tiles, splits;

  constexpr int64_t tiles() const { return int64_t{channel_tiles} * token_tiles; }
  constexpr int channels() const { return tokens <= 16 ? 2 * kStripN : 4 * kStripN; }
  /// float32 values of the workspace.
  constexpr int64_t partial_sums() const {
    return splits == 1 ? 0 : tiles() * splits * tokens * channels();
  }
};

/// The plan for m tokens on a device with `processors` multiprocessors: the smallest blocks that
/// hold the tokens, and as many splits as fill the device, each of at least four slabs.
constexpr SmallMatmulPlan plan_small_matmul(int64_t m, int64_t n, int64_t padded_k,
                                            int processors) {
  SmallMatmulPlan plan{};
  plan.tokens = m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64;
  plan.channel_tiles = static_cast<int>(round_up(n, plan.channels()) / plan.channels());
  plan.token_tiles = static_cast<int>(round_up(m, plan.tokens) / plan.tokens);
  const int64_t blocks_per_processor = plan.tokens <= 16 ? 2 : 1;
  const int64_t wanted = blocks_per_processor * processors / (plan.tiles() > 0 ? plan.tiles() : 1);
  const int64_t most = padded_k / kSlabK / 4;
  const int64_t splits = wanted < most ? wanted : most;
  plan.splits = static_cast<int>(splits < 1 ? 1 : splits > 32 ? 32 : splits);
  return plan;
}

}  // namespace ptq::cuda
