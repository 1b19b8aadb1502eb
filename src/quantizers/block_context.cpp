#include "ptq/quantizers/quantizer.h"

namespace ptq {

std::optional<std::string> BlockContext::refusal(size_t stage) const {
  const InputProducer producer = block.input_producer(stage);
  if (!producer.refusal.empty()) return producer.refusal;
  for (const Linear& linear : block.stages()[stage].linears)
    if (plan.count(linear.site().name) == 0)
      return linear.site().name + ", which reads the same input, is not quantized";
  if (find_linear(block, producer.name) != nullptr && plan.count(producer.name) == 0)
    return producer.name + ", which makes the input, is not quantized";
  return std::nullopt;
}

}  // namespace ptq
