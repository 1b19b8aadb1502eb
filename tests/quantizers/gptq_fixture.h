#pragma once
#include <ATen/ATen.h>

#include "ptq/quantizers/quantizer.h"
#include "site_fixture.h"

namespace ptq {

/// The scheme of the tests that look at no other.
constexpr QuantScheme kScheme{4, 16, true};

/// What `gptq` makes of a weight, float32 [out, in], with `inputs`, float32 [sequences, seq, in].
inline QuantizedSite quantize(const at::Tensor& weight, const at::Tensor& inputs,
                              const Json& options = Json::object(),
                              const QuantScheme& scheme = kScheme) {
  const auto gptq = quantizers().make("gptq", options);
  const TestSite site(weight, inputs, *gptq);
  QuantizedSite result = gptq->quantize(site.view(), scheme);
  result.weight.check();
  return result;
}

}  // namespace ptq
