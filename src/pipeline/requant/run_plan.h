#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "../calibration_session.h"
#include "budget.h"
#include "settings.h"
#include "weight_ranking.h"

namespace ptq::detail {

/// What decides how much a run of the method takes.
struct RunOutline {
  /// A group size that is tried.
  struct Base {
    int64_t group_size = 0;
    SparseBudget budget;
    int64_t output_bytes = 0;  ///< of the tensors of the base's run, without single weights
    int64_t memory_bytes = 0;  ///< of that run
  };
  const RequantSettings& settings;
  const WeightRanking& ranking;
  const CalibrationSession& session;  ///< with the windows that gradients are taken over
  int64_t windows_held_back;          ///< that judge between candidates
  const std::vector<std::string>& base_statistics;  ///< that are collected for the base
  bool prepares;  ///< the base changes the blocks before it quantizes them
  std::vector<Base> bases;
};

/// What all parts of a run take together, known before any work.
struct RunPlan {
  /// One of them.
  struct Part {
    std::filesystem::path done;  ///< is there when the part is finished; in the directory of runs
    int64_t stays = 0;           ///< bytes on disk until the run ends
    int64_t passes = 0;          ///< beside them until the part is finished
  };
  std::vector<Part> parts;      ///< in the order in which they are made
  int64_t base_runs = 0;        ///< runs of the base
  int64_t gradient_sweeps = 0;  ///< passes forward and back over the windows
  int64_t loss_sweeps = 0;      ///< forward alone
  int64_t output_bytes = 0;     ///< of the result's tensors at the most, single weights included
  int64_t memory_bytes = 0;     ///< estimated peak

  /// The most that lies on disk at a time, an upper bound: 1.01 to 1.10 times what was found of
  /// TinyStories-656K.
  int64_t disk_bytes() const { return disk_bytes(std::filesystem::path()); }
  /// The same of a run that goes on in the directory `runs`: while the parts are made that are not
  /// there.
  int64_t disk_bytes(const std::filesystem::path& runs) const;
  /// "runs of gptq: 3; sweeps with gradients: 5, without: 2; at most 12.0 MiB of disk before the
  /// end".
  std::string line(const std::string& base) const;
};

RunPlan plan_run(const RunOutline& outline);

/// Tells the plan.  Throws ResourceError unless the disk has space for what is not yet there in
/// `runs`, which may be absent.
void announce(const RunPlan& plan, const std::string& base, const std::filesystem::path& runs,
              ProgressListener& listener);

}  // namespace ptq::detail
