#pragma once
#include <filesystem>

#include "../calibration_session.h"
#include "../weight_places.h"
#include "ptq/report/quantize_report.h"

namespace ptq::detail {

/// A quantized directory, and another that is to be the same with more single weights.
struct DirectoryPair {
  std::filesystem::path from, to;
};

/// Writes the single weights of `directories.from`, and over them those that the session's model
/// has at `places`, into `directories.to` together with a config.json that tells of them; changes
/// what `report` says of the linears.
void add_single_weights(const CalibrationSession& session, const DirectoryPair& directories,
                        const WeightPlaces& places, QuantizeReport& report);

}  // namespace ptq::detail
