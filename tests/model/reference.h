#pragma once
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/core/options.h"
#include "ptq/model/causal_lm.h"
#include "ptq/model/input_scale.h"

namespace ptq::testing {

/// The folder of shared data: absent on most machines.
std::filesystem::path shared_data();

/// As run_model, with random factors between 1/10 and 10 moved into every input that takes them.
at::Tensor scaled_logits(const CausalLM& model, const at::Tensor& tokens,
                         const StoredDtype& stored);

/// Compares a directory of shared_data()/families with its reference.json: logits within 2e-4 of
/// the largest, mean NLL likewise, gradient norms to 1e-4, logits once more with scaled inputs.
/// Skips the test where the data is absent.
void check_family(const std::string& name);

/// Compares the last logits and the greedy continuation of a trained model with reference.json.
void check_trained(const std::filesystem::path& model, const std::filesystem::path& reference);

}  // namespace ptq::testing
