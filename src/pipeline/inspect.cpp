#include "ptq/pipeline/inspect.h"

#include <map>

#include <ATen/ATen.h>

#include "ptq/formats/open.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

double bits_each(int64_t bytes, int64_t weights) {
  return weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
}

/// "3.250", or "3.250 + 0.160 = 3.410" with single weights.
std::string bits_text(int64_t bytes, int64_t sparse_bytes, int64_t weights) {
  const std::string dense = fixed(bits_each(bytes, weights), 3);
  if (sparse_bytes == 0) return dense;
  return dense + " + " + fixed(bits_each(sparse_bytes, weights), 3) + " = " +
         fixed(bits_each(bytes + sparse_bytes, weights), 3);
}

}  // namespace

Inspection inspect_directory(const std::filesystem::path& directory) {
  const OpenedModel opened = open_directory(directory);
  Inspection inspection;
  inspection.model_type = opened.model->config().model_type;
  inspection.format = opened.format;
  inspection.notes = opened.notes;
  std::map<std::string, int64_t> bytes_under;  // by everything before the last dot
  for (const std::string& name : opened.checkpoint->names()) {
    const TensorEntry& entry = opened.checkpoint->entry(name);
    const auto bytes = static_cast<int64_t>(entry.end - entry.begin);
    bytes_under[name.substr(0, name.rfind('.'))] += bytes;
    inspection.other_bytes += bytes;
  }
  for (const LinearSite& site : opened.model->sites()) {
    Inspection::Row row;
    row.name = site.name;
    row.out_features = site.out_features;
    row.in_features = site.in_features;
    row.bytes = bytes_under[site.name];
    const auto planned = opened.plan.find(site.name);
    row.scheme = planned != opened.plan.end()
                     ? planned->second.name()
                     : c10::toString(opened.checkpoint->entry(site.name + ".weight").dtype);
    row.bits_per_weight = bits_each(row.bytes, row.weights());
    if (opened.sparse != nullptr) {
      row.sparse_values = opened.sparse->count(site.name);
      row.sparse_bytes = opened.sparse->bytes(site.name);
    }
    inspection.sparse_values += row.sparse_values;
    inspection.sparse_bytes += row.sparse_bytes;
    inspection.parameters += row.weights();
    inspection.linear_bytes += row.bytes;
    inspection.other_bytes -= row.bytes;
    inspection.rows.push_back(std::move(row));
  }
  return inspection;
}

Json Inspection::to_json() const {
  Json linears = Json::array();
  for (const Row& row : rows)
    linears.push_back(
        {{"name", row.name},
         {"shape", {row.out_features, row.in_features}},
         {"scheme", row.scheme},
         {"bytes", row.bytes},
         {"bits_per_weight", row.bits_per_weight},
         {"sparse_values", row.sparse_values},
         {"sparse_bytes", row.sparse_bytes},
         {"sparse_bits_per_weight", bits_each(row.sparse_bytes, row.weights())},
         {"total_bits_per_weight", bits_each(row.bytes + row.sparse_bytes, row.weights())}});
  return {{"model_type", model_type},
          {"format", format.empty() ? Json() : Json(format)},
          {"linears", linears},
          {"notes", notes},
          {"linear_weights", parameters},
          {"linear_bytes", linear_bytes},
          {"other_bytes", other_bytes},
          {"sparse_values", sparse_values},
          {"sparse_bytes", sparse_bytes},
          {"bits_per_weight", bits_each(linear_bytes, parameters)},
          {"sparse_bits_per_weight", bits_each(sparse_bytes, parameters)},
          {"total_bits_per_weight", bits_each(linear_bytes + sparse_bytes, parameters)}};
}

std::string Inspection::text() const {
  Table table({"linear", "shape", "scheme", "bytes", "bits/weight"});
  for (const Row& row : rows)
    table.add({row.name, std::to_string(row.out_features) + " x " + std::to_string(row.in_features),
               row.scheme, std::to_string(row.bytes + row.sparse_bytes),
               bits_text(row.bytes, row.sparse_bytes, row.weights())});
  std::string told;
  for (const std::string& note : notes)
    told += "note: " + note + "\n";
  return told + model_type + ", " + (format.empty() ? "full precision" : format) + "\n" +
         table.text() + "\n" + std::to_string(rows.size()) + " linears, " +
         std::to_string(parameters) + " weights, " + human_bytes(linear_bytes + sparse_bytes) +
         ", " + bits_text(linear_bytes, sparse_bytes, parameters) +
         (sparse_values > 0
              ? " bits per weight (dense + " + std::to_string(sparse_values) + " single weights)"
              : " bits per weight") +
         "; other tensors " + human_bytes(other_bytes) + "\n";
}

}  // namespace ptq
