#pragma once
#include <filesystem>
#include <string>

#include "../weight_places.h"
#include "ptq/calib/gradient_sweep.h"
#include "ptq/formats/open.h"

namespace ptq::detail {

/// The way from a model's weights to those of a quantized directory, but at the places where
/// weights are detached, which stay as they are.  A linear that is not quantized does not move.
class QuantizedDirection : public Direction {
 public:
  /// `key`: equal for equal weights and places.  Throws as open_directory.
  QuantizedDirection(std::string key, const std::filesystem::path& directory,
                     WeightPlaces detached);

  std::string key() const override { return key_; }
  at::Tensor of(const LinearSite& site, const at::Tensor& weight) const override;

 private:
  std::string key_;
  OpenedModel quantized_;
  WeightPlaces detached_;
};

}  // namespace ptq::detail
