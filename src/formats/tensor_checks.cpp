#include "tensor_checks.h"

#include <set>
#include <sstream>
#include <stdexcept>

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

void require_shape(const std::string& name, const at::Tensor& tensor,
                   const std::vector<int64_t>& shape) {
  if (!tensor.sizes().equals(shape))
    throw FormatError(name + " has the shape " + shape_text(tensor.sizes()) + ", not " +
                      shape_text(shape));
}

}  // namespace

at::Tensor read_tensor(const TensorSource& source, const std::string& name, at::ScalarType dtype,
                       const std::vector<int64_t>& shape) {
  at::Tensor tensor = source.tensor(name);
  if (tensor.scalar_type() != dtype)
    throw FormatError(name + " has the dtype " + toString(tensor.scalar_type()) + ", not " +
                      toString(dtype));
  require_shape(name, tensor, shape);
  return tensor;
}

at::Tensor read_scales(const TensorSource& source, const std::string& name,
                       const std::vector<int64_t>& shape) {
  const at::Tensor stored = source.tensor(name);
  const at::ScalarType dtype = stored.scalar_type();
  if (dtype != at::kHalf && dtype != at::kBFloat16 && dtype != at::kFloat)
    throw FormatError(name + " has the dtype " + toString(dtype) + ", not Half, BFloat16 or Float");
  require_shape(name, stored, shape);
  const at::Tensor scales = stored.to(at::kFloat);
  if (!scales.isfinite().all().item<bool>())
    throw FormatError(name + " holds a scale that is not finite");
  if (scales.eq(0).any().item<bool>()) throw FormatError(name + " holds a scale that is 0");
  return scales;
}

at::Tensor read_group_index(const TensorSource& source, const std::string& name,
                            int64_t in_features, int64_t groups) {
  at::Tensor index = read_tensor(source, name, at::kInt, {in_features}).contiguous();
  const int32_t* group = index.data_ptr<int32_t>();
  for (int64_t i = 0; i < in_features; ++i)
    if (group[i] < 0 || group[i] >= groups)
      throw FormatError(name + " puts input " + std::to_string(i) + " into group " +
                        std::to_string(group[i]) + ", there are " + std::to_string(groups));
  return index;
}

at::Tensor exact_scales(const at::Tensor& scale, at::ScalarType dtype) {
  at::Tensor stored = scale.to(dtype).contiguous();
  if (!stored.to(at::kFloat).equal(scale))
    throw std::logic_error(std::string("a scale is not exact in ") + toString(dtype) +
                           ": scales must come from storable_scale");
  return stored;
}

void require_known_layers(const TensorSource& source, const std::vector<LinearSite>& sites,
                          const std::string& suffix) {
  std::set<std::string> known;
  for (const LinearSite& site : sites)
    known.insert(site.name + suffix);
  for (const std::string& name : source.names()) {
    const bool packed = name.size() > suffix.size() &&
                        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
    if (packed && known.count(name) == 0)
      throw UnsupportedError(name + ": only the linears of the transformer blocks are read " +
                             "quantized, this layer is none of them");
  }
}

bool stores_qweight(const TensorSource& source, const LinearSite& site) {
  if (source.contains(site.name + ".qweight")) return true;
  if (!source.contains(site.name + ".weight"))
    throw FormatError(site.name + " has neither a qweight nor a weight");
  return false;
}

}  // namespace ptq
