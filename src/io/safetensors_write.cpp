#include "safetensors_write.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "atomic_file.h"
#include "ptq/core/options.h"
#include "ptq/io/safetensors.h"
#include "safetensors_header.h"

namespace ptq {
namespace {
using Named = std::pair<const std::string, at::Tensor>;

/// The tensors in file order: wide dtypes first, so that each starts at a multiple of its width,
/// then by name.
std::vector<const Named*> file_order(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<const Named*> order;
  for (const Named& named : tensors)
    order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const Named* a, const Named* b) {
    return a->second.element_size() > b->second.element_size();
  });
  return order;
}

/// The eight length bytes and the header, padded with spaces to a multiple of eight.
std::string header_bytes(const std::vector<const Named*>& order,
                         const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t begin = 0;
  for (const Named* named : order) {
    const at::Tensor& tensor = named->second;
    const uint64_t end = begin + static_cast<uint64_t>(tensor.numel()) * tensor.element_size();
    header[named->first] = {{"dtype", safetensors_dtype(tensor.scalar_type())},
                            {"shape", tensor.sizes().vec()},
                            {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return bytes + text;
}
}  // namespace

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, tensors, metadata, {});
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const TensorWritten& written) {
  const std::vector<const Named*> order = file_order(tensors);
  const std::string header = header_bytes(order, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const Named* named : order) {
    const at::Tensor tensor = named->second.detach().cpu().contiguous();
    if (tensor.nbytes() > 0) file.write(tensor.data_ptr(), tensor.nbytes());
    if (written) written(named->first);
  }
  file.commit();
}

}  // namespace ptq
