#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/pipeline/job.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq::detail {

/// The statistics with gradients that a quantizer reads.  A run of it makes no backward pass: they
/// come from a store.
struct GradientStatistics {
  std::vector<std::string> names;  ///< none: it reads none
  bool in_place = false;           ///< of calibration data, which it then does not read

  /// Lets `job`, a run of the quantizer, read them from `store`.
  void read_from(const std::filesystem::path& store, QuantizeJob& job) const;
};

GradientStatistics gradient_statistics(const Quantizer& quantizer);

}  // namespace ptq::detail
