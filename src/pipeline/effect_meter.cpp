#include "effect_meter.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/core/error.h"
#include "ptq/io/file.h"
#include "ptq/io/safetensors.h"
#include "ptq/model/kernels.h"

namespace ptq::detail {
namespace {

LogitRows rows_of(const at::Tensor& logits) {
  return {logits.data_ptr<float>(), logits.size(0), logits.size(1)};
}

Linear& linear_of(Block& block, const std::string& site) {
  for (Stage& stage : block.stages())
    for (Linear& linear : stage.linears)
      if (linear.site().name == site) return linear;
  throw std::logic_error("no linear " + site + " in its block");
}

/// Puts changed weights into a block and the old ones back.
class Displaced {
 public:
  Displaced(Block& block, const std::vector<WeightChange>& changes, int64_t index) {
    for (const WeightChange& change : changes) {
      if (change.block != index) continue;
      Linear& linear = linear_of(block, change.site);
      before_.emplace_back(&linear, linear.weight());
      linear.set_weight(linear.weight() + change.delta);
    }
  }
  ~Displaced() {
    // Last first: a linear may be changed twice.
    for (auto entry = before_.rbegin(); entry != before_.rend(); ++entry)
      entry->first->set_weight(entry->second);
  }
  Displaced(const Displaced&) = delete;
  Displaced& operator=(const Displaced&) = delete;

 private:
  std::vector<std::pair<Linear*, at::Tensor>> before_;
};

}  // namespace

EffectMeter::EffectMeter(const CausalLM& model, Plan plan)
    : model_(model), plan_(std::move(plan)), head_(model) {
  const at::NoGradGuard unrecorded;
  settings_.poll = plan_.poll;
  const int64_t seq = plan_.tokens.size(1);
  targets_ = plan_.tokens.narrow(1, 1, seq - 1).reshape({-1}).contiguous();
  choose_residents();
  run_reference();
}

int64_t EffectMeter::targets() const {
  return targets_.size(0);
}

double EffectMeter::work_from(int64_t index) const {
  const double head = static_cast<double>(head_.weights()) * (recomputes_logits() ? 2 : 1);
  return std::accumulate(block_work_.begin() + index, block_work_.end(), head);
}

/// The last blocks, which every change runs through, stay in memory as far as they fit.
void EffectMeter::choose_residents() {
  block_work_.assign(static_cast<size_t>(model_.config().blocks), 0);
  for (const LinearSite& site : model_.sites())
    block_work_[static_cast<size_t>(site.block)] +=
        static_cast<double>(site.out_features * site.in_features);
  double left = static_cast<double>(plan_.block_bytes);
  first_resident_ = model_.config().blocks;
  while (first_resident_ > 0) {
    left -= 4 * block_work_[static_cast<size_t>(first_resident_ - 1)];
    if (left < 0) break;
    --first_resident_;
  }
}

Block& EffectMeter::block(int64_t index) {
  if (index >= first_resident_) {
    std::unique_ptr<Block>& resident = residents_[index];
    if (!resident) resident = model_.load_block(index);
    return *resident;
  }
  if (visitor_.first != index) {
    visitor_.second.reset();  // before the next one is loaded: one of them in memory
    visitor_ = {index, model_.load_block(index)};
  }
  return *visitor_.second;
}

at::Tensor EffectMeter::weight(const LinearSite& site) {
  return linear_of(block(site.block), site.name).weight();
}

std::filesystem::path EffectMeter::boundary_file(int64_t index) const {
  return plan_.directory / ("block-input-" + std::to_string(index) + ".safetensors");
}

at::Tensor EffectMeter::boundary(int64_t index) {
  if (!states_on_disk_) return boundaries_[static_cast<size_t>(index)].clone();
  if (read_.first != index)
    read_ = {index, SafetensorsFile(boundary_file(index)).tensor("hidden").clone()};
  return read_.second.clone();
}

void EffectMeter::run_reference() {
  const int64_t blocks = model_.config().blocks;
  at::Tensor states = embed_sequences(model_, plan_.tokens, settings_);
  const auto bytes = static_cast<int64_t>(states.nbytes()) * blocks;
  states_on_disk_ = bytes > plan_.state_bytes;
  if (states_on_disk_) {
    std::filesystem::create_directories(plan_.directory);
    require_disk_space(plan_.directory, bytes);
  }
  for (int64_t index = 0; index < blocks; ++index) {
    if (states_on_disk_)
      write_safetensors(boundary_file(index), {{"hidden", states}});
    else
      boundaries_.push_back(states.clone());
    advance_block(block(index), states, settings_);
  }
  reference_rows_ = scored_rows(states);
  const int64_t vocab = head_.vocab(), rows = reference_rows_.size(0);
  if (rows * vocab * 4 <= plan_.logit_bytes) {
    reference_logits_ = at::empty({rows, vocab}, at::kFloat);
    for (int64_t first = 0; first < rows; first += head_.rows()) {
      if (plan_.poll) plan_.poll();
      const int64_t count = std::min(head_.rows(), rows - first);
      reference_logits_.narrow(0, first, count)
          .copy_(head_.logits(reference_rows_.narrow(0, first, count)));
    }
  }
  mean_nll_ = 0;
  mean_nll_ = compare(states).nll;
}

/// float32 [windows · (seq − 1), hidden]: the rows that predict a target.
at::Tensor EffectMeter::scored_rows(const at::Tensor& states) const {
  return states.narrow(1, 0, states.size(1) - 1).reshape({-1, states.size(2)});
}

MeasuredEffect EffectMeter::compare(const at::Tensor& states) {
  const at::Tensor rows = scored_rows(states);
  const int64_t count = rows.size(0);
  std::vector<double> kl(static_cast<size_t>(count)), nll(static_cast<size_t>(count));
  std::vector<uint8_t> same(static_cast<size_t>(count));
  for (int64_t first = 0; first < count; first += head_.rows()) {
    if (plan_.poll) plan_.poll();
    const int64_t part = std::min(head_.rows(), count - first);
    // A copy: the head has one buffer.
    const at::Tensor reference = reference_logits_.defined()
                                     ? reference_logits_.narrow(0, first, part)
                                     : head_.logits(reference_rows_.narrow(0, first, part)).clone();
    const at::Tensor own = head_.logits(rows.narrow(0, first, part));
    nll_rows(rows_of(own), targets_.data_ptr<int64_t>() + first, nll.data() + first);
    kl_rows(rows_of(reference), rows_of(own), kl.data() + first, same.data() + first);
  }
  const auto mean = [&](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(count);
  };
  MeasuredEffect effect{mean(kl), mean(nll) - mean_nll_, {}};
  const auto of_window = static_cast<std::ptrdiff_t>(plan_.tokens.size(1) - 1);
  for (auto begin = kl.begin(); begin != kl.end(); begin += of_window)
    effect.window_kl.push_back(std::accumulate(begin, begin + of_window, 0.0) /
                               static_cast<double>(of_window));
  if (!std::isfinite(effect.kl) || !std::isfinite(effect.nll))
    throw NumericalError("the loss on the held-out text is not finite",
                         "the checkpoint may be damaged, or the perturbation far too large");
  return effect;
}

MeasuredEffect EffectMeter::measure(const std::vector<WeightChange>& changes) {
  const at::NoGradGuard unrecorded;
  if (changes.empty()) throw std::logic_error("an effect of no change was asked for");
  int64_t first = changes.front().block;
  for (const WeightChange& change : changes)
    first = std::min(first, change.block);
  at::Tensor states = boundary(first);
  for (int64_t index = first; index < model_.config().blocks; ++index) {
    Block& current = block(index);
    const Displaced displaced(current, changes, index);
    advance_block(current, states, settings_);
  }
  return compare(states);
}

}  // namespace ptq::detail
