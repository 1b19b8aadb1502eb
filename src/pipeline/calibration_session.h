#pragma once
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/calib/gradient_sweep.h"
#include "ptq/formats/open.h"
#include "ptq/pipeline/calibrate.h"

namespace ptq::detail {

/// Windows that go through the model together.
struct WindowSet {
  at::Tensor tokens;         ///< int64 [windows, seq]
  int64_t first_window = 0;  ///< the number of the first among all
};

/// A model and the windows that statistics are collected over.
struct CalibrationSession {
  OpenedModel input;
  std::vector<LinearSite> sites;
  at::Tensor tokens;    ///< int64 [windows, seq] of this shard; undefined without data
  WindowRange windows;  ///< their place among all
  int64_t windows_total = 0;
  int64_t sequences_per_set = 0;  ///< windows that go through the model together
  LabelSource labels;
  Json calibration;    ///< CalibrationReport, or null
  Json identity;       ///< what a store of these statistics belongs to, without the data
  Json data_identity;  ///< the data's part
  std::vector<std::string> warnings;
  std::function<void()> poll;  ///< as the constructor was given it

  /// Opens the model on the device of that name and, if files are named, reads the windows.  `poll`
  /// is called while files are hashed.  Throws ConfigError for a shard without windows or a window
  /// longer than the model's positions, and what its parts throw.
  CalibrationSession(const std::filesystem::path& model, const CalibrationData& data,
                     const std::function<void()>& poll, const std::string& device = "cpu");

  /// The session's windows in sets of `sequences_per_set`, the last one smaller.
  std::vector<WindowSet> window_sets() const;
  /// The sites of block `index`.
  std::vector<LinearSite> block_sites(int64_t index) const;
  /// `identity` with the data's part.
  Json whole_identity() const;

 private:
  void read_windows(const std::filesystem::path& model, const CalibrationData& data);
};

}  // namespace ptq::detail
