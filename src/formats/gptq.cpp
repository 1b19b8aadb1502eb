#include <memory>

#include "gptq_layout.h"

namespace ptq::format {

std::unique_ptr<CheckpointFormat> gptq(Options& /*options*/) {
  return std::make_unique<GptqLayout>(GptqVersion::kV1);
}

}  // namespace ptq::format
