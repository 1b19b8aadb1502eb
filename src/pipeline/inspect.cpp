#include "ptq/pipeline/inspect.h"

#include <map>

#include <ATen/ATen.h>

#include "ptq/formats/open.h"
#include "ptq/report/table.h"

namespace ptq {

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
    Inspection::Row row{site.name, site.out_features,      site.in_features,
                        "",        bytes_under[site.name], 0};
    const auto planned = opened.plan.find(site.name);
    row.scheme = planned != opened.plan.end()
                     ? planned->second.name()
                     : c10::toString(opened.checkpoint->entry(site.name + ".weight").dtype);
    const int64_t weights = site.out_features * site.in_features;
    row.bits_per_weight = 8.0 * static_cast<double>(row.bytes) / static_cast<double>(weights);
    inspection.parameters += weights;
    inspection.linear_bytes += row.bytes;
    inspection.other_bytes -= row.bytes;
    inspection.rows.push_back(std::move(row));
  }
  return inspection;
}

Json Inspection::to_json() const {
  Json linears = Json::array();
  for (const Row& row : rows)
    linears.push_back({{"name", row.name},
                       {"shape", {row.out_features, row.in_features}},
                       {"scheme", row.scheme},
                       {"bytes", row.bytes},
                       {"bits_per_weight", row.bits_per_weight}});
  return {{"model_type", model_type},     {"format", format.empty() ? Json() : Json(format)},
          {"linears", linears},           {"notes", notes},
          {"linear_weights", parameters}, {"linear_bytes", linear_bytes},
          {"other_bytes", other_bytes}};
}

std::string Inspection::text() const {
  Table table({"linear", "shape", "scheme", "bytes", "bits/weight"});
  for (const Row& row : rows)
    table.add({row.name, std::to_string(row.out_features) + " x " + std::to_string(row.in_features),
               row.scheme, std::to_string(row.bytes), fixed(row.bits_per_weight, 3)});
  const double bits =
      parameters > 0 ? 8.0 * static_cast<double>(linear_bytes) / static_cast<double>(parameters)
                     : 0;
  std::string told;
  for (const std::string& note : notes)
    told += "note: " + note + "\n";
  return told + model_type + ", " + (format.empty() ? "full precision" : format) + "\n" +
         table.text() + "\n" + std::to_string(rows.size()) + " linears, " +
         std::to_string(parameters) + " weights, " + human_bytes(linear_bytes) + ", " +
         fixed(bits, 3) + " bits per weight; other tensors " + human_bytes(other_bytes) + "\n";
}

}  // namespace ptq
