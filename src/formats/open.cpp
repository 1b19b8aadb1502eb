#include "ptq/formats/open.h"

#include <utility>

#include "dequantized_source.h"
#include "gptq_config.h"
#include "json_fields.h"
#include "packed_sites.h"
#include "ptq/core/error.h"
#include "ptq/io/json.h"

namespace ptq {
namespace {

/// What AutoGPTQ and AutoAWQ used to write beside the model, into a file alone; null if neither
/// did.
Json read_legacy_config(const std::filesystem::path& directory) {
  for (const char* name : {"quantize_config.json", "quant_config.json"}) {
    const std::filesystem::path file = directory / name;
    if (!std::filesystem::exists(file)) continue;
    Json legacy = read_json_file(file, int64_t{1} << 24);
    if (legacy.is_object() && !legacy.contains("quant_method"))
      legacy["quant_method"] = legacy.contains("w_bit") ? "awq" : "gptq";
    return legacy;
  }
  return nullptr;
}

/// The "quantization_config", null for a full-precision directory.
Json find_quantization_config(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.config();
  for (const char* key : {"quantization_config", "compression_config"})
    if (config.contains(key) && !config.at(key).is_null()) return config.at(key);
  for (const std::string& name : checkpoint.names()) {
    const size_t dot = name.rfind('.');
    const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
    if (last != "qweight" && last != "weight_packed") continue;
    Json legacy;
    if (last == "qweight") legacy = read_legacy_config(checkpoint.directory());
    if (legacy.is_null())
      throw FormatError(checkpoint.directory().string() + ": " + name +
                        " is quantized, but config.json has no quantization_config");
    return legacy;
  }
  return nullptr;
}

/// The name of the format that reads `config`.
std::string find_format(const Json& config) {
  std::string known;
  for (const std::string& name : formats().names()) {
    if (formats().make(name)->reads(config)) return name;
    known += (known.empty() ? "" : ", ") + name;
  }
  const JsonFields fields(config, "quantization_config");
  std::string described = "quant_method \"" + fields.text("quant_method", "") + "\"";
  const std::string gptq = gptq_checkpoint_format(config);
  if (!gptq.empty()) described += " with checkpoint_format \"" + gptq + "\"";
  throw UnsupportedError("the directory is quantized with " + described + ", which is not read",
                         "formats that are read: " + known);
}

std::vector<LinearSite> quantized_among(const std::vector<LinearSite>& sites,
                                        const QuantPlan& plan) {
  std::vector<LinearSite> quantized;
  for (const LinearSite& site : sites)
    if (plan.count(site.name) > 0) quantized.push_back(site);
  return quantized;
}

}  // namespace

std::map<std::string, std::string> OpenedModel::backend_of() const {
  return packed == nullptr ? std::map<std::string, std::string>{} : packed->backend_of();
}

std::map<std::string, std::vector<std::string>> OpenedModel::backend_refusals() const {
  if (packed == nullptr) return {};
  return packed->refusals();
}

OpenedModel open_directory(const std::filesystem::path& directory, const BackendSelection* backends,
                           at::Device device) {
  OpenedModel opened;
  opened.checkpoint = std::make_shared<Checkpoint>(directory);
  opened.model =
      open_model(WeightSource{opened.checkpoint, nullptr, device}, opened.checkpoint->config());
  const Json config = find_quantization_config(*opened.checkpoint);
  if (config.is_null()) {
    SparsePart::open(directory, opened.checkpoint->config(), {});  // throws if there is one
    opened.tensors = opened.checkpoint;
    return opened;
  }
  opened.format = find_format(config);
  opened.layout = formats().make(opened.format);
  const std::vector<LinearSite> sites = opened.model->sites();
  opened.plan = opened.layout->plan(config, sites, *opened.checkpoint);
  opened.notes = opened.layout->notes(opened.plan, *opened.checkpoint);
  opened.sparse =
      SparsePart::open(directory, opened.checkpoint->config(), quantized_among(sites, opened.plan));
  WeightSource weights;
  weights.device = device;
  const auto source = std::make_shared<DequantizedSource>(opened.checkpoint, opened.layout,
                                                          opened.plan, sites, opened.sparse);
  opened.tensors = source;
  weights.tensors = source;
  if (backends != nullptr) {
    std::map<std::string, std::vector<NamedBackend>> chosen;
    for (const LinearSite& site : sites) {
      const auto scheme = opened.plan.find(site.name);
      if (scheme == opened.plan.end()) continue;
      const bool sparse = opened.sparse != nullptr && opened.sparse->count(site.name) > 0;
      chosen.emplace(site.name,
                     choose_backends(*backends, site, scheme->second, *opened.checkpoint, sparse));
    }
    opened.packed = std::make_shared<PackedSites>(source, std::move(chosen));
    weights.packed = opened.packed;
  }
  opened.model = open_model(std::move(weights), opened.checkpoint->config());
  return opened;
}

}  // namespace ptq
