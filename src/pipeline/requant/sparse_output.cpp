#include "sparse_output.h"

#include <ATen/ATen.h>

#include "ptq/calib/sweep.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/quant/sparse_places.h"

namespace ptq::detail {

void add_single_weights(const CalibrationSession& session, const DirectoryPair& directories,
                        const WeightPlaces& places, QuantizeReport& report) {
  // One for all, as in the runs of the base (FormatContext::model_dtype).
  const at::ScalarType dtype =
      session.input.checkpoint->entry(session.sites.front().name + ".weight").dtype;
  SparseWeights all;
  {
    const OpenedModel opened = open_directory(directories.from);
    for (const LinearSite& site : session.sites)
      if (opened.sparse)
        if (auto found = opened.sparse->find(site.name)) all[site.name] = std::move(*found);
  }
  const auto put_back = [&](Block& block, int64_t) {
    session.poll();
    for (const Stage& stage : block.stages())
      for (const Linear& linear : stage.linears) {
        const std::string& name = linear.site().name;
        const auto found = places.find(name);
        if (found == places.end()) continue;
        // Rounded together: what a dtype holds may depend on all values of a linear.
        const SparseWeight own = sparse_at(linear.weight().cpu(), found->second);
        all[name] = storable(merged(all[name], own, linear.site().in_features), dtype);
      }
  };
  if (!places.empty()) forward_sweep(*session.input.model, put_back);
  write_sparse_part(directories.to, all, session.sites, dtype);
  Json config = read_json_file(directories.from / "config.json");
  if (Json sparse = sparse_config(all, session.sites); !sparse.is_null())
    config[kSparseConfig] = std::move(sparse);
  write_file_atomically(directories.to / "config.json", config.dump(2) + "\n");
  for (SiteReport& site : report.sites) {
    const auto found = all.find(site.name);
    site.sparse_values = found == all.end() ? 0 : found->second.count();
    site.sparse_bytes = sparse_bytes(site.out_features, site.in_features, site.sparse_values);
  }
}

}  // namespace ptq::detail
