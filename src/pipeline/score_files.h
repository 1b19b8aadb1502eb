#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace ptq::detail {

/// The scores of one linear: float64 [in] by estimator label.
struct LinearScores {
  std::string site;
  std::map<std::string, at::Tensor> by_label;
};

/// scores.csv: linear, channel, one column an estimator.  Throws ResourceError when the disk is
/// full.
void write_scores_csv(const std::filesystem::path& file, const std::vector<std::string>& labels,
                      const std::vector<LinearScores>& scores);

/// scores.safetensors: `<linear>.<label>` float32 [in], and `<linear>.<label>.weight` float32
/// [out, in] from `weights`.
void write_scores_tensors(const std::filesystem::path& file,
                          const std::vector<LinearScores>& scores,
                          const std::map<std::string, at::Tensor>& weights);

}  // namespace ptq::detail
