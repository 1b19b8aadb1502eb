#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "effect_meter.h"
#include "ptq/pipeline/job.h"
#include "validation_units.h"

namespace ptq::detail {

/// Effects measured so far, a line each in a file, so that a killed run goes on where it was.
class MeasurementRecord {
 public:
  /// Reads what is there; a line that was cut off is dropped.  Throws FormatError for another file.
  explicit MeasurementRecord(std::filesystem::path file);

  std::optional<MeasuredEffect> find(const std::string& key) const;
  /// Throws ResourceError if it cannot be written.
  void add(const std::string& key, const MeasuredEffect& effect);

 private:
  std::filesystem::path file_;
  std::map<std::string, MeasuredEffect> known_;
  std::ofstream out_;
};

/// What was measured of `units`.
struct Measurements {
  /// By scheme, scale and unit; not divided by κ².  Zeros for units of kind "noise".
  std::vector<std::vector<std::vector<MeasuredEffect>>> effects;
  /// By scheme and subset, at the first scale; not divided by κ².
  std::vector<std::vector<MeasuredEffect>> subsets;
  double noise_kl = 0;  ///< the largest |KL| of the noise units
  int64_t runs = 0;     ///< all that is in here, measured now or before
};

/// What measure_units works on; all must outlive the call.
struct MeasuringTask {
  const ValidationRequest& request;
  const std::vector<LinearPredictions>& linears;
  const std::vector<Unit>& units;
  const std::vector<Unit>& subsets;
};

/// Measures every unit with every scheme and scale, and the subsets, but for what `record` has.
Measurements measure_units(const MeasuringTask& task, EffectMeter& meter, MeasurementRecord& record,
                           ProgressListener& listener);

}  // namespace ptq::detail
