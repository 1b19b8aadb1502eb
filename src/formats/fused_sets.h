#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ptq/model/site.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// Linears that vLLM and SGLang load as one layer under another name, and which therefore must all
/// have one scheme.
struct FusedSet {
  std::string name;  ///< "model.layers.0.self_attn.qkv_proj"
  std::vector<std::string> members;
};

/// The fused sets among `sites`, after the `packed_modules_mapping` of vLLM's models.
std::vector<FusedSet> fused_sets(const std::vector<LinearSite>& sites);

/// The scheme of all members; nothing if they differ or are not quantized.
std::optional<QuantScheme> common_scheme(const FusedSet& set, const QuantPlan& plan);

/// Whether no member is quantized.
bool none_quantized(const FusedSet& set, const QuantPlan& plan);

}  // namespace ptq
