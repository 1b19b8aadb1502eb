#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ptq/io/checkpoint.h"
#include "ptq/model/linear.h"
#include "ptq/model/weight_source.h"

namespace ptq {

/// Reads a model's tensors, checked against the shapes its config demands.
class Weights {
 public:
  explicit Weights(WeightSource source)
      : source_(std::move(source.tensors)),
        packed_(std::move(source.packed)),
        device_(source.device) {}

  /// Where what it loads lies.
  at::Device device() const { return device_; }

  /// The tensor as stored, on the CPU.  Throws FormatError naming it if it is absent, not of a
  /// floating dtype or not of `shape`.
  at::Tensor stored(const std::string& name, const std::vector<int64_t>& shape) const;

  /// A float32 copy on the device; the source's pages are given back.  Throws as `stored`.
  at::Tensor load(const std::string& name, const std::vector<int64_t>& shape) const;

  /// `name`, or `other` where only that is stored: tied tensors have either name on disk.
  std::string either(const std::string& name, const std::string& other) const {
    return !source_->contains(name) && source_->contains(other) ? other : name;
  }

  /// The linear of a site: weight, dense or packed as the source has it, and, if `bias`, bias.
  Linear load_linear(const LinearSite& site, bool bias) const;

  /// Rows `ids`, int64 [...] on the CPU, of the table `name`, as float32 [..., width] on the
  /// device; only they are read.
  at::Tensor rows(const std::string& name, const std::vector<int64_t>& shape,
                  const at::Tensor& ids) const;

 private:
  std::shared_ptr<const TensorSource> source_;
  std::shared_ptr<const PackedLinears> packed_;
  at::Device device_;
};

}  // namespace ptq
