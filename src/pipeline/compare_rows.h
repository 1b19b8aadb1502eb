#pragma once
#include <filesystem>
#include <vector>

#include "ptq/pipeline/compare.h"

namespace ptq::detail {

/// The rows to fill, with every method's name, label and options checked, and that `job.stats` has
/// what they read of a store.  Throws ConfigError as compare_methods.
std::vector<CompareRow> make_rows(const CompareJob& job);

/// The run that fills `row`.  It measures outputs (QuantizeJob::measure_outputs) where the method
/// is a quantizer that reads the calibration data.
QuantizeJob quantize_job(const CompareJob& job, const CompareRow& row,
                         const std::filesystem::path& out);

}  // namespace ptq::detail
