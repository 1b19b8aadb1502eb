#include "model_directory.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "posix.h"
#include "ptq/core/error.h"
#include "ptq/io/checkpoint_writer.h"

namespace ptq {
namespace {
namespace fs = std::filesystem;

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

std::vector<std::string> file_names(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error))
    names.push_back(entry.path().filename().string());
  if (error) throw ConfigError("cannot list " + shown(directory) + ": " + error.message());
  std::sort(names.begin(), names.end());
  return names;
}

constexpr char kConvertTorch[] =
    "convert with transformers: AutoModelForCausalLM.from_pretrained(DIR)"
    ".save_pretrained(OUT, safe_serialization=True)";
constexpr char kConvertGguf[] =
    "convert with transformers: AutoModelForCausalLM.from_pretrained(DIR, gguf_file=FILE)"
    ".save_pretrained(OUT)";
constexpr char kConvertOriginal[] =
    "use the model's Hugging Face edition, or transformers' script convert_llama_weights_to_hf.py";

struct ForeignWeights {
  const char* what;
  const char* convert;
};

/// What the directory's weights are when they are not safetensors of a whole model.
ForeignWeights foreign_weights(const std::string& name) {
  const std::string extension = fs::path(name).extension().string();
  if (extension == ".gguf") return {"GGUF weights are", kConvertGguf};
  if (starts_with(name, "pytorch_model")) return {"PyTorch pickle weights are", kConvertTorch};
  if (starts_with(name, "consolidated."))
    return {"weights in the original (consolidated) layout are", kConvertOriginal};
  if (starts_with(name, "adapter_"))
    return {"an adapter without its base model is",
            "merge it with peft: PeftModel.from_pretrained(…).merge_and_unload()"
            ".save_pretrained(OUT)"};
  if (extension == ".pt" || extension == ".pth" || extension == ".bin")
    return {"PyTorch pickle weights are", kConvertTorch};
  if (extension == ".h5" || extension == ".msgpack")
    return {"TensorFlow and Flax weights are", kConvertTorch};
  return {};
}
}  // namespace

void check_model_directory(const fs::path& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status))
    throw ConfigError("there is no model directory " + shown(directory),
                      "give the path of a local directory; models are not downloaded");
  if (!fs::is_directory(status)) {
    const ForeignWeights foreign = foreign_weights(directory.filename().string());
    if (foreign.what != nullptr)
      throw UnsupportedError(shown(directory) + ": " + foreign.what + " not supported",
                             foreign.convert);
    throw ConfigError(shown(directory) + " is not a directory",
                      "give the model's directory, not one of its files");
  }
  if (path_exists(directory / kSingleFile) || path_exists(directory / kIndexFile)) return;
  for (const std::string& name : file_names(directory)) {
    const ForeignWeights foreign = foreign_weights(name);
    if (foreign.what != nullptr)
      throw UnsupportedError(shown(directory / name) + ": " + foreign.what + " not supported",
                             foreign.convert);
  }
  throw FormatError(shown(directory) + " has neither " + kSingleFile + " nor " + kIndexFile);
}

std::vector<fs::path> side_files(const fs::path& directory) {
  static const std::vector<std::string> kWeightExtensions = {
      ".safetensors", ".csr",     ".bin",  ".pt", ".pth", ".gguf",
      ".h5",          ".msgpack", ".onnx", ".ot", ".tmp"};
  std::vector<fs::path> files;
  for (const std::string& name : file_names(directory)) {
    const fs::path path = directory / name;
    const std::string extension = path.extension().string();
    std::error_code error;
    // status() follows symbolic links: a hub cache holds nothing else.
    if (!fs::is_regular_file(fs::status(path, error))) continue;
    if (name == kConfigFile || name == kManifestFile || name == kProgressFile) continue;
    if (extension == kStateExtension || name.find(".index.json") != std::string::npos) continue;
    if (std::count(kWeightExtensions.begin(), kWeightExtensions.end(), extension) > 0) continue;
    files.push_back(path);
  }
  return files;
}

}  // namespace ptq
