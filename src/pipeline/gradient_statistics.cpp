#include "gradient_statistics.h"

#include "ptq/calib/collector.h"

namespace ptq::detail {

void GradientStatistics::read_from(const std::filesystem::path& store, QuantizeJob& job) const {
  if (names.empty()) return;
  job.stats = store;
  if (in_place) job.calibration.files.clear();
}

GradientStatistics gradient_statistics(const Quantizer& quantizer) {
  if (auto beside = quantizer.stored_statistics(); !beside.empty()) return {beside, false};
  if (auto alone = quantizer.statistics(); StatisticSet(alone).needs_gradients())
    return {alone, true};
  return {};
}

}  // namespace ptq::detail
