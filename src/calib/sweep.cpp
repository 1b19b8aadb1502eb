#include "ptq/calib/sweep.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace ptq {
void forward_sweep(const CausalLM& model, const BlockVisitor& visit, int64_t first) {
  for (int64_t index = first; index < model.config().blocks; ++index) {
    const std::unique_ptr<Block> block = model.load_block(index);
    visit(*block, index);
  }
}

void reverse_sweep(const CausalLM& model, const BlockVisitor& visit, int64_t count) {
  for (int64_t index = count; index-- > 0;) {
    const std::unique_ptr<Block> block = model.load_block(index);
    visit(*block, index);
  }
}

void for_each_batch(int64_t sequences, int64_t seq, const SweepSettings& settings,
                    const std::function<void(int64_t first, int64_t count)>& body) {
  const int64_t step = std::max<int64_t>(1, settings.batch_tokens / seq);
  for (int64_t first = 0; first < sequences; first += step) {
    if (settings.poll) settings.poll();
    body(first, std::min(step, sequences - first));
  }
}

at::Tensor embed_sequences(const CausalLM& model, const at::Tensor& tokens,
                           const SweepSettings& settings) {
  at::NoGradGuard no_grad;
  at::Tensor states;
  for_each_batch(tokens.size(0), tokens.size(1), settings, [&](int64_t first, int64_t count) {
    const at::Tensor embedded = model.embed(tokens.narrow(0, first, count));
    if (!states.defined())
      states = at::empty({tokens.size(0), tokens.size(1), embedded.size(2)}, embedded.options());
    states.narrow(0, first, count).copy_(embedded);
  });
  return states;
}

StageRunner::StageRunner(const Block& block, at::Tensor& states, const SweepSettings& settings)
    : block_(block), states_(states), settings_(settings) {
  const int64_t tokens = states.size(0) * states.size(1);
  replays_ =
      settings.activation_bytes >= 0 && kept_bytes(block, tokens) > settings.activation_bytes;
}

int64_t StageRunner::kept_bytes(const Block& block, int64_t tokens) {
  int64_t widest = 0;
  for (const Stage& stage : block.stages())
    widest = std::max(widest, stage.linears.front().site().in_features);
  return tokens * widest * 4;
}

BlockState StageRunner::state_of(int64_t first, int64_t count) const {
  BlockState state{states_.narrow(0, first, count), {}};
  if (replays_) {
    for (size_t earlier = 0; earlier < stage_; ++earlier)
      block_.run_stage(earlier, state);
  } else if (carried_.defined()) {
    state.carried = carried_.narrow(0, first, count);
  }
  return state;
}

void StageRunner::for_each_state(
    const std::function<void(BlockState& state, int64_t first, int64_t count)>& body) const {
  at::NoGradGuard no_grad;
  for_each_batch(states_.size(0), states_.size(1), settings_, [&](int64_t first, int64_t count) {
    BlockState state = state_of(first, count);
    body(state, first, count);
  });
}

SiteStats StageRunner::collect(const StatisticSet& statistics, const StageRunner* reference) {
  const LinearSite& site = block_.stages()[stage_].linears.front().site();
  Collector collector(statistics);
  for_each_state([&](BlockState& state, int64_t first, int64_t count) {
    SiteBatch batch{block_.stage_input(stage_, state), {}};
    if (reference != nullptr)
      batch.reference =
          reference->block_.stage_input(reference->stage_, reference->state_of(first, count));
    collector.add(site, batch);
  });
  collector.finish();
  return collector.stats(site);
}

void StageRunner::advance() {
  const bool last = stage_ + 1 == block_.stages().size();
  if (!replays_ || last) {
    at::Tensor next;
    for_each_state([&](BlockState& state, int64_t first, int64_t count) {
      block_.run_stage(stage_, state);
      at::Tensor slot = states_.narrow(0, first, count);
      if (!slot.is_same(state.hidden) && slot.data_ptr() != state.hidden.data_ptr())
        slot.copy_(state.hidden);
      if (last || !state.carried.defined()) return;
      if (!next.defined())
        next = at::empty({states_.size(0), states_.size(1), state.carried.size(-1)},
                         state.carried.options());
      next.narrow(0, first, count).copy_(state.carried);
    });
    carried_ = next;
  }
  ++stage_;
}

std::vector<SiteStats> collect_stages(const Block& block, const at::Tensor& states,
                                      const StatisticSet& statistics,
                                      const SweepSettings& settings) {
  at::NoGradGuard no_grad;
  const auto first_site = [&](size_t stage) -> const LinearSite& {
    return block.stages()[stage].linears.front().site();
  };
  const size_t stages = block.stages().size();
  Collector collector(statistics);
  for_each_batch(states.size(0), states.size(1), settings, [&](int64_t first, int64_t count) {
    BlockState state{states.narrow(0, first, count), {}};
    for (size_t stage = 0; stage < stages; ++stage) {
      const at::Tensor input = block.stage_input(stage, state);
      collector.add(first_site(stage), {input, {}});
      if (stage + 1 < stages) block.run_stage(stage, input, state);
    }
  });
  collector.finish();
  std::vector<SiteStats> stats;
  for (size_t stage = 0; stage < stages; ++stage)
    stats.push_back(collector.stats(first_site(stage)));
  return stats;
}

void advance_block(const Block& block, at::Tensor& states, const SweepSettings& settings) {
  at::NoGradGuard no_grad;
  for_each_batch(states.size(0), states.size(1), settings, [&](int64_t first, int64_t count) {
    at::Tensor slot = states.narrow(0, first, count);
    slot.copy_(block.forward(slot));
  });
}

}  // namespace ptq
