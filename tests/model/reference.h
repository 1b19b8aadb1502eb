#pragma once
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/core/options.h"

namespace ptq::testing {

/// The folder of shared data: absent on most machines.
std::filesystem::path shared_data();

/// Compares a directory of shared_data()/families with its reference.json: logits within 2e-4 of
/// the largest, mean NLL likewise, gradient norms to 1e-4.  Skips the test where the data is
/// absent.
void check_family(const std::string& name);

/// Compares the last logits and the greedy continuation of a trained model with reference.json.
void check_trained(const std::filesystem::path& model, const std::filesystem::path& reference);

}  // namespace ptq::testing
