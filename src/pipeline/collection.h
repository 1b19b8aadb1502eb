#pragma once
#include <filesystem>

#include "calibration_session.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::detail {

/// The file beside the sums that says how far a collection is; of no use when it is complete.
constexpr const char* kFinishedParts = "finished.json";

/// Collects `statistics` over the session's windows, set by set, into a store at `directory`: in a
/// sweep forward alone if none of them needs gradients.  What is there of an interrupted collection
/// is gone on with.  Returns the mean NLL in nats per target token, or −1 where no loss was taken.
double collect_statistics(const CalibrationSession& session, const StatisticSet& statistics,
                          const std::filesystem::path& directory, ProgressListener& listener);

/// What a probe met at its nodes.
struct ProbeOutcome {
  std::vector<double> mean_nll;  ///< at each node, nats per target token
};

/// Collects `probe` into a store at `directory` that holds the combined gradient as the statistic
/// "pooled-gradient"; goes on with what is there.
ProbeOutcome collect_probe(const CalibrationSession& session, const GradientProbe& probe,
                           const std::filesystem::path& directory, ProgressListener& listener);

}  // namespace ptq::detail
