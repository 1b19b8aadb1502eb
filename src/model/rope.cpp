#include "rope.h"

#include <cmath>

#include <ATen/ATen.h>

namespace ptq {
namespace {

double llama3_frequency(double frequency, const RopeConfig& config) {
  constexpr double kTurn = 2 * 3.14159265358979323846;
  const double turns = static_cast<double>(config.original_max_positions) * frequency / kTurn;
  if (turns < config.low_freq_factor) return frequency / config.factor;
  if (turns > config.high_freq_factor) return frequency;
  const double kept =
      (turns - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor);
  return (1 - kept) * frequency / config.factor + kept * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& config, int64_t head_dim) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    double frequency =
        std::pow(config.theta, -2 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (config.type == "linear") frequency /= config.factor;
    if (config.type == "llama3") frequency = llama3_frequency(frequency, config);
    frequencies.push_back(frequency);
  }
  return frequencies;
}

std::pair<at::Tensor, at::Tensor> RopeTable::rows(int64_t seq, at::Device device) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!cos_.defined() || cos_.size(0) < seq || cos_.device() != device) {
    const at::Tensor position = at::arange(seq, at::kDouble);
    const at::Tensor angle = at::outer(position, at::tensor(frequencies_, at::kDouble));
    cos_ = angle.cos().to(device, at::kFloat);
    sin_ = angle.sin().to(device, at::kFloat);
  }
  return {cos_.narrow(0, 0, seq), sin_.narrow(0, 0, seq)};
}

}  // namespace ptq
