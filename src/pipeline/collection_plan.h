#pragma once
#include "calibration_session.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::detail {

/// What collecting `statistics` and `probes` over the session's windows takes.
CollectionPlan plan_collection(const CalibrationSession& session, const StatisticSet& statistics,
                               const std::map<std::string, GradientProbe>& probes = {});

/// Prints the plan.  Throws ResourceError unless the disk has space for it beside what an
/// interrupted run left in `directory`.
void announce(const CollectionPlan& plan, const std::filesystem::path& directory,
              ProgressListener& listener);

}  // namespace ptq::detail
