#include "ptq/io/inventory.h"

#include <cstring>

#include <ATen/ATen.h>

#include "ptq/io/json.h"

namespace ptq {
namespace {

/// The member of `prefixes` that `name` lies under ("P" for "P.weight"), or nothing.
std::string prefix_of(const std::string& name, const std::set<std::string>& prefixes) {
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0;
       dot = name.rfind('.', dot - 1))
    if (prefixes.count(name.substr(0, dot)) > 0) return name.substr(0, dot);
  return {};
}

std::string kind(const at::Tensor& tensor) {
  return std::string(c10::toString(tensor.scalar_type())) + " " + Json(tensor.sizes().vec()).dump();
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor left = a.cpu().contiguous(), right = b.cpu().contiguous();
  return left.nbytes() == 0 || std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0;
}
}  // namespace

std::vector<std::string> inventory_differences(const TensorSource& input,
                                               const TensorSource& output,
                                               const std::set<std::string>& replaced,
                                               const std::set<std::string>& revalued) {
  std::vector<std::string> differences;
  for (const std::string& name : input.names()) {
    const std::string prefix = prefix_of(name, replaced);
    if (!prefix.empty() && name == prefix + ".weight") continue;
    if (!output.contains(name)) {
      differences.push_back("the tensor " + in_quotes(name) + " of the input is missing");
      continue;
    }
    // A format may store the bias of a quantized linear in its own dtype.
    if (!prefix.empty()) continue;
    const at::Tensor before = input.tensor(name), after = output.tensor(name);
    if (before.scalar_type() != after.scalar_type() || before.sizes() != after.sizes())
      differences.push_back("the tensor " + in_quotes(name) + " was " + kind(before) + " and is " +
                            kind(after));
    else if (revalued.count(name) == 0 && !same_bytes(before, after))
      differences.push_back("the values of the tensor " + in_quotes(name) + " have changed");
    input.release(name);
    output.release(name);
  }
  std::set<std::string> unseen = replaced;
  for (const std::string& name : output.names()) {
    const std::string prefix = prefix_of(name, replaced);
    if (!prefix.empty())
      unseen.erase(prefix);
    else if (!input.contains(name))
      differences.push_back("the tensor " + in_quotes(name) + " is not in the input");
  }
  for (const std::string& prefix : unseen)
    differences.push_back("nothing is stored for the quantized linear " + in_quotes(prefix));
  return differences;
}

}  // namespace ptq
