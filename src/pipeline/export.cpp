#include "ptq/pipeline/export.h"

#include <map>
#include <set>
#include <vector>

#include <ATen/ATen.h>

#include "ptq/formats/open.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/io/checkpoint_writer.h"

namespace ptq {
namespace {

/// The names of the quantized linears' weights, dequantized.
std::set<std::string> dequantized_weights(const OpenedModel& opened) {
  std::set<std::string> names;
  for (const auto& planned : opened.plan)
    names.insert(planned.first + ".weight");
  return names;
}

/// The dtype of the largest tensor that is as the model had it.
at::ScalarType model_dtype(const OpenedModel& opened, const std::set<std::string>& dequantized) {
  at::ScalarType dtype = at::kFloat;
  uint64_t largest = 0;
  for (const std::string& name : opened.tensors->names()) {
    if (dequantized.count(name) > 0) continue;
    const TensorEntry& entry = opened.checkpoint->entry(name);
    if (!at::isFloatingType(entry.dtype) || entry.end - entry.begin <= largest) continue;
    largest = entry.end - entry.begin;
    dtype = entry.dtype;
  }
  return dtype;
}

/// The tensors' names by shard: one a block, the last holds the rest.
std::vector<std::vector<std::string>> names_by_shard(const OpenedModel& opened) {
  const int64_t blocks = opened.model->config().blocks;
  std::vector<std::vector<std::string>> shards(static_cast<size_t>(blocks) + 1);
  for (const std::string& name : opened.tensors->names()) {
    int64_t block = 0;
    while (block < blocks && name.rfind(opened.model->block_prefix(block), 0) != 0)
      ++block;
    shards[static_cast<size_t>(block)].push_back(name);
  }
  return shards;
}

at::Tensor rounded(const std::string& name, const at::Tensor& weight, at::ScalarType dtype) {
  at::Tensor stored = weight.to(dtype);
  if (!stored.isfinite().all().item<bool>())
    throw NumericalError(name + " holds a weight beyond the range of " + toString(dtype),
                         "the quantized directory runs as it is: ptq eval");
  return stored;
}

Json plain_config(const OpenedModel& opened) {
  Json config = opened.checkpoint->config();
  for (const char* key : {"quantization_config", "compression_config", kSparseConfig})
    config.erase(key);
  return config;
}

void write_shards(const OpenedModel& opened, at::ScalarType dtype, CheckpointWriter& writer,
                  ProgressListener& listener) {
  const std::set<std::string> dequantized = dequantized_weights(opened);
  const auto shards = names_by_shard(opened);
  listener.begin("exporting", static_cast<int64_t>(shards.size()), 0);
  for (size_t index = 0; index < shards.size(); ++index) {
    listener.poll();
    std::map<std::string, at::Tensor> tensors;
    for (const std::string& name : shards[index]) {
      const at::Tensor tensor = opened.tensors->tensor(name);
      tensors[name] = dequantized.count(name) > 0 ? rounded(name, tensor, dtype) : tensor;
    }
    writer.add_shard(static_cast<int>(index), tensors,
                     [&](const std::string& name) { opened.tensors->release(name); });
    listener.step(static_cast<int64_t>(index) + 1, "shard " + std::to_string(index + 1));
  }
}

int64_t bytes_of_output(const OpenedModel& opened, at::ScalarType dtype) {
  int64_t bytes = 0;
  for (const LinearSite& site : opened.model->sites())
    if (opened.plan.count(site.name) > 0)
      bytes += site.out_features * site.in_features * static_cast<int64_t>(c10::elementSize(dtype));
  const std::set<std::string> dequantized = dequantized_weights(opened);
  for (const std::string& name : opened.tensors->names())
    if (dequantized.count(name) == 0) {
      const TensorEntry& entry = opened.checkpoint->entry(name);
      bytes += static_cast<int64_t>(entry.end - entry.begin);
    }
  return bytes;
}

}  // namespace

Json ExportReport::to_json() const {
  return {
      {"dtype", dtype}, {"linears", linears}, {"sparse_values", sparse_values}, {"bytes", bytes}};
}

ExportReport export_dense(const ExportJob& job, ProgressListener& listener) {
  const OpenedModel opened = open_directory(job.model);
  if (opened.format.empty())
    throw UnsupportedError(job.model.string() + " is not quantized: nothing to export",
                           "it is a full-precision checkpoint already");
  for (const std::string& note : opened.notes)
    listener.warning(note);
  const at::ScalarType dtype = model_dtype(opened, dequantized_weights(opened));
  ExportReport report;
  report.dtype = toString(dtype);
  report.linears = static_cast<int64_t>(opened.plan.size());
  if (opened.sparse != nullptr) report.sparse_values = opened.sparse->total_count();
  report.bytes = bytes_of_output(opened, dtype);
  CheckpointWriterOptions options;
  options.directory = job.out;
  options.input = job.model;
  options.shards = static_cast<int>(opened.model->config().blocks) + 1;
  options.overwrite = job.overwrite;
  CheckpointWriter writer(options);
  try {
    require_disk_space(job.out, report.bytes);
    write_shards(opened, dtype, writer, listener);
    writer.finish(plain_config(opened), [&] {
      // Engines take a directory that has one of them for a quantized one.
      for (const char* name : {"quantize_config.json", "quant_config.json"})
        std::filesystem::remove(writer.partial_directory() / name);
    });
  } catch (...) {
    writer.discard();  // made again in one sweep, there is nothing to go on with
    throw;
  }
  return report;
}

}  // namespace ptq
