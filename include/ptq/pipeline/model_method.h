#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ptq/core/registry.h"
#include "ptq/pipeline/quantize.h"

namespace ptq {

/// A method that looks at the model as a whole: what it does with one linear depends on what became
/// of all the others, so that it makes several runs of Quantizers, which see a block at a time.
class ModelMethod {
 public:
  virtual ~ModelMethod() = default;

  /// The statistics with gradients that its runs read of a store (QuantizeJob::stats), by name;
  /// `quantize` collects them where `job` names none.
  virtual std::vector<std::string> stored_statistics(const QuantizeJob& job) const {
    static_cast<void>(job);
    return {};
  }
  /// As plan_quantize.
  virtual QuantizePlan plan(const QuantizeJob& job, ProgressListener& listener) const = 0;
  /// As quantize_checkpoint.
  virtual QuantizeReport quantize(const QuantizeJob& job, ProgressListener& listener) const = 0;
};

/// The methods for whole models by name; `ptq quantize --method` takes them beside quantizers().
const Registry<ModelMethod>& model_methods();

/// The method that `job` names, with its options, if it is one for whole models; null for one of
/// quantizers().  Throws ConfigError, listing all methods, for a name that is neither.
std::unique_ptr<ModelMethod> model_method_of(const QuantizeJob& job);

}  // namespace ptq
