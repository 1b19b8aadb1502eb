#include "input_identity.h"

#include <ATen/ATen.h>

#include "ptq/formats/sparse_part.h"
#include "ptq/io/sha256.h"

namespace ptq::detail {

Json input_identity(const Checkpoint& checkpoint, const std::filesystem::path& model,
                    const std::function<void()>& poll) {
  const auto digests = [&](const std::vector<std::filesystem::path>& files) {
    Json found = Json::object();
    for (const std::filesystem::path& file : files)
      if (std::filesystem::exists(file)) found[file.filename().string()] = sha256_file(file, poll);
    return found;
  };
  std::vector<std::filesystem::path> weights = checkpoint.tensor_files();
  weights.push_back(model / "config.json");
  weights.push_back(model / kSparseFile);
  return {{"model", digests(weights)},
          {"tokenizer", digests({model / "tokenizer.json", model / "tokenizer.model",
                                 model / "tokenizer_config.json"})}};
}

std::string token_digest(const at::Tensor& tokens) {
  if (!tokens.defined()) return "";
  const at::Tensor ids = tokens.contiguous();
  return sha256_hex({static_cast<const char*>(ids.data_ptr()), ids.nbytes()});
}

}  // namespace ptq::detail
