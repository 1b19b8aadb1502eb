#include "run_memory.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "../session.h"
#include "../weight_places.h"
#include "ptq/model/lm_head.h"

namespace ptq::detail {
namespace {

/// The most of one block, or of one linear.
struct Largest {
  int64_t block_weights = 0, linear_weights = 0;
  int64_t features = 0;  ///< inputs and outputs of a block's linears together
  int64_t sums = 0;      ///< bytes of a block's statistics

  Largest(const CalibrationSession& session, const StatisticSet& statistics) {
    for (int64_t index = 0; index < session.input.model->config().blocks; ++index) {
      const std::vector<LinearSite> sites = session.block_sites(index);
      int64_t weights = 0, ends = 0;
      for (const LinearSite& site : sites) {
        const int64_t size = site.out_features * site.in_features;
        weights += size;
        ends += site.out_features + site.in_features;
        linear_weights = std::max(linear_weights, size);
      }
      block_weights = std::max(block_weights, weights);
      features = std::max(features, ends);
      sums = std::max(sums, statistics.bytes(sites));
    }
  }
};

}  // namespace

int64_t sweep_memory(const CalibrationSession& session, const StatisticSet& statistics,
                     int64_t windows) {
  const Largest largest(session, statistics);
  const CausalLM& model = *session.input.model;
  const int64_t seq = session.tokens.size(1);
  const int64_t batch = std::min(windows * seq, std::max(SweepSettings().batch_tokens, seq));
  // The way's end dequantized, its difference, the weight between and what has been its codes.
  const int64_t displaced = largest.linear_weights * 4 * 4;
  // Inputs, outputs and gradients of the linears, and more for what lies between them: of a Llama
  // 4.5 values were found for each of their ends.
  const int64_t activations = batch * largest.features * 5 * 4;
  // The sums, and those of the windows before as they lie in a file.
  const int64_t in_block = largest.block_weights * 4 + displaced + activations + 2 * largest.sums;
  // The states in front of a block as they lie in a file, or behind the last; the gradient there,
  // and the one that is being written.
  const int64_t states = 3 * windows * seq * model.config().hidden * 4;
  return kBaseBytes + states + std::max(in_block, LmHead::bytes(model));
}

int64_t choice_memory(const CalibrationSession& session, const StatisticSet& statistics,
                      int64_t count) {
  const Largest largest(session, statistics);
  // Change, gradient and score of a weight.
  return kBaseBytes + (largest.block_weights + 3 * largest.linear_weights) * 4 + largest.sums +
         TopWeights::bytes(count, largest.linear_weights);
}

int64_t places_memory(const RequantSettings& settings, const std::vector<SparseBudget>& budgets) {
  int64_t places = 0, apart = 0;
  for (const SparseBudget& budget : budgets) {
    places += static_cast<int64_t>(settings.exponents.size()) * budget.outliers;
    apart = std::max(apart, budget.outliers + budget.significant);
  }
  // Those left out: their place once more, the column, the value and both once more as written.
  return places * 8 + apart * (8 + 8 + 8);
}

}  // namespace ptq::detail
