#include "samples.h"

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {

at::Tensor MapSource::tensor(const std::string& name) const {
  if (!contains(name)) throw FormatError("there is no tensor " + name);
  return tensors.at(name);
}

std::vector<std::string> MapSource::names() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors)
    names.push_back(entry.first);
  return names;
}

QuantizedTensor random_weight(const QuantScheme& scheme, int64_t out, int64_t in) {
  const int64_t groups = scheme.groups(in);
  const int levels = 1 << scheme.bits;
  QuantizedTensor weight;
  weight.scheme = scheme;
  weight.q = at::randint(0, levels, {out, in}, at::kByte);
  weight.group_of = contiguous_groups(scheme, in);
  if (scheme.lookup) {
    weight.table = storable_entries(std::get<0>(at::randn({out, levels}).sort(1)));
    return weight;
  }
  weight.scale = storable_scale(at::randn({out, groups}), at::kBFloat16);
  weight.zero = scheme.symmetric ? at::full({out, groups}, levels / 2, at::kByte)
                                 : at::randint(1, levels, {out, groups}, at::kByte);
  return weight;
}

SparseWeight random_sparse(int64_t out, int64_t in, double share) {
  at::Tensor taken = at::rand({out, in}) < share;
  taken[0][in - 1] = true;
  taken[out - 1].zero_();
  SparseWeight sparse;
  sparse.row_begin = at::zeros({out + 1}, at::kInt);
  sparse.row_begin.narrow(0, 1, out).copy_(taken.sum(1).cumsum(0));
  const at::Tensor places = taken.nonzero();
  sparse.columns = places.select(1, 1).to(at::kInt).contiguous();
  sparse.values = at::randn({places.size(0)});
  return sparse;
}

LinearSite make_site(const std::string& name, int64_t out, int64_t in) {
  LinearSite site;
  site.name = name;
  site.input = name + ".input";
  site.out_features = out;
  site.in_features = in;
  return site;
}

std::vector<LinearSite> llama_sites(int blocks) {
  std::vector<LinearSite> sites;
  for (int block = 0; block < blocks; ++block) {
    const std::string prefix = "model.layers." + std::to_string(block) + ".";
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
      sites.push_back(make_site(prefix + "self_attn." + name, 128, 128));
    for (const char* name : {"gate_proj", "up_proj"})
      sites.push_back(make_site(prefix + "mlp." + name, 384, 128));
    sites.push_back(make_site(prefix + "mlp.down_proj", 128, 384));
  }
  return sites;
}

FormatContext uniform_context(const std::vector<LinearSite>& sites, const QuantScheme& scheme) {
  FormatContext context;
  context.sites = sites;
  context.tool_version = "0.1.0";
  for (const LinearSite& site : sites)
    context.plan[site.name] = scheme;
  return context;
}

bool identical(const QuantizedTensor& a, const QuantizedTensor& b) {
  if (a.scheme != b.scheme || !a.q.equal(b.q) || !a.group_of.equal(b.group_of)) return false;
  if (a.scheme.lookup) return a.table.equal(b.table);
  return a.scale.equal(b.scale) && a.zero.equal(b.zero);
}

std::vector<uint32_t> words_of(const at::Tensor& tensor) {
  const at::Tensor words = tensor.contiguous();
  const int32_t* word = words.data_ptr<int32_t>();
  return std::vector<uint32_t>(word, word + words.numel());
}

}  // namespace ptq
