#pragma once
#include <filesystem>
#include <memory>

#include "ptq/formats/open.h"

namespace ptq::detail {

/// `original` with what a method prepared of its blocks (QuantizeJob::prepared) in place of its
/// own, on the same device: the model from whose weights to the quantized ones there is a way.
/// Throws FormatError for a block that is missing, and as open_model.
std::unique_ptr<CausalLM> open_prepared(const OpenedModel& original,
                                        const std::filesystem::path& prepared);

/// While it lives `place` holds `other`; with null nothing changes.
class ModelInstead {
 public:
  ModelInstead(std::unique_ptr<CausalLM>& place, std::unique_ptr<CausalLM> other)
      : place_(place), other_(std::move(other)) {
    if (other_) place_.swap(other_);
  }
  ~ModelInstead() {
    if (other_) place_.swap(other_);
  }
  ModelInstead(const ModelInstead&) = delete;
  ModelInstead& operator=(const ModelInstead&) = delete;

 private:
  std::unique_ptr<CausalLM>& place_;
  std::unique_ptr<CausalLM> other_;  // while it lives: what was there
};

}  // namespace ptq::detail
