#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/model/block.h"

namespace ptq {

/// The dtype in which the file holds the tensor of this name.
using StoredDtype = std::function<at::ScalarType(const std::string& name)>;

/// The linear of `block` with this site name, or null.
Linear* find_linear(Block& block, const std::string& name);

/// Everything of `block` that a factor may change beside the weights of its linears, by checkpoint
/// name: gains and biases of norms, biases of linears; float32 on the CPU.
std::map<std::string, at::Tensor> block_vectors(Block& block);

/// Replaces what `block_vectors` names `name`, float32 of its shape; std::logic_error otherwise.
void set_block_vector(Block& block, const std::string& name, const at::Tensor& values);

/// How many factors the input of stage `index` can take: channels of its producer; 0 if it refuses.
int64_t input_factors(const Block& block, size_t index);

/// Divides what makes the input of stage `index` by a factor per channel and multiplies the input
/// columns of the stage's linears by it: the block's function stays.  `wanted`: float32, positive,
/// one for each of `input_factors`.  Returns the factors used: the producer's gain or, of a linear,
/// its bias is rounded to the dtype in which the file holds it, and the factor is what it was
/// divided by then, so that the file's product is that of `wanted` to float32 rounding; a channel
/// whose quotient that dtype does not hold keeps factor 1.  Only the bias of a norm with a gain is
/// rounded, by half a unit of its last place.  Throws std::logic_error if the producer takes no
/// factor or `wanted` does not fit.
at::Tensor scale_input(Block& block, size_t index, const at::Tensor& wanted,
                       const StoredDtype& stored);

}  // namespace ptq
