#include "fused_sets.h"

#include <algorithm>
#include <array>
#include <set>

namespace ptq {
namespace {

struct Fusion {
  const char* name;
  std::vector<const char*> members;
};

const std::array<Fusion, 2>& fusions() {
  static const std::array<Fusion, 2> kFusions{Fusion{"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
                                              Fusion{"gate_up_proj", {"gate_proj", "up_proj"}}};
  return kFusions;
}

}  // namespace

std::vector<FusedSet> fused_sets(const std::vector<LinearSite>& sites) {
  std::set<std::string> names;
  for (const LinearSite& site : sites)
    names.insert(site.name);
  std::vector<FusedSet> sets;
  for (const LinearSite& site : sites) {
    const size_t dot = site.name.rfind('.') + 1;  // 0 for a name without a dot
    const std::string parent = site.name.substr(0, dot);
    for (const Fusion& fusion : fusions()) {
      if (site.name.substr(dot) != fusion.members.front()) continue;
      FusedSet set{parent + fusion.name, {}};
      for (const char* member : fusion.members)
        if (names.count(parent + member)) set.members.push_back(parent + member);
      if (set.members.size() == fusion.members.size()) sets.push_back(set);
    }
  }
  return sets;
}

std::optional<QuantScheme> common_scheme(const FusedSet& set, const QuantPlan& plan) {
  const auto first = plan.find(set.members.front());
  if (first == plan.end()) return std::nullopt;
  for (const std::string& member : set.members) {
    const auto found = plan.find(member);
    if (found == plan.end() || found->second != first->second) return std::nullopt;
  }
  return first->second;
}

bool none_quantized(const FusedSet& set, const QuantPlan& plan) {
  return std::none_of(set.members.begin(), set.members.end(),
                      [&](const std::string& member) { return plan.count(member) > 0; });
}

}  // namespace ptq
