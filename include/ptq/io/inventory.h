#pragma once
#include <set>
#include <string>
#include <vector>

#include "ptq/io/checkpoint.h"

namespace ptq {

/// What tells an output from its input beyond the quantized linears; empty if nothing does.  Every
/// input tensor must be in the output with the same dtype, shape and bytes, except `P.weight` for
/// the prefixes P in `replaced` (their other tensors, as a bias, must be present) and the values of
/// those in `revalued`; the output must hold a tensor under every P and none that is neither of the
/// input nor under a P.
/// One sentence per difference.
std::vector<std::string> inventory_differences(const TensorSource& input,
                                               const TensorSource& output,
                                               const std::set<std::string>& replaced,
                                               const std::set<std::string>& revalued = {});

}  // namespace ptq
