#include <memory>

#include "gptq_layout.h"

namespace ptq::format {

std::unique_ptr<CheckpointFormat> gptq_v2(Options& /*options*/) {
  return std::make_unique<GptqLayout>(GptqVersion::kV2);
}

}  // namespace ptq::format
