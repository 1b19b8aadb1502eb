#pragma once
#include <cstdint>
#include <vector>

#include "../calibration_session.h"
#include "budget.h"
#include "settings.h"

namespace ptq::detail {

/// Memory of the process, in bytes, while a sweep goes over so many `windows` at a time, forward
/// and back, and collects `statistics`.
int64_t sweep_memory(const CalibrationSession& session, const StatisticSet& statistics,
                     int64_t windows);

/// That while `count` weights are chosen, or linears weighed, by what a store has of `statistics`.
int64_t choice_memory(const CalibrationSession& session, const StatisticSet& statistics,
                      int64_t count);

/// What is held of single weights and their places beside all that: of every candidate's outliers,
/// and of what is stored of those that are left out.  `budgets`: of every group size.
int64_t places_memory(const RequantSettings& settings, const std::vector<SparseBudget>& budgets);

}  // namespace ptq::detail
