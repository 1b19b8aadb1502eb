#include "validation_units.h"

#include <algorithm>
#include <map>

namespace ptq::detail {
namespace {

bool wants(const ValidationRequest& request, const std::string& kind) {
  return std::find(request.units.begin(), request.units.end(), kind) != request.units.end();
}

void add_columns(const std::vector<LinearPredictions>& linears, size_t place,
                 const std::string& kind, std::vector<Unit>& units) {
  const LinearPredictions& linear = linears[place];
  const bool single = kind == "channel";
  const auto& ranges = single ? linear.channels : linear.groups;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const ColumnRange range = ranges[i];
    std::string name = linear.site.name + "[" + std::to_string(range.first);
    if (!single) name += ":" + std::to_string(range.first + range.count);
    units.push_back({kind,
                     name + "]",
                     linear.site.block,
                     {{place, range}},
                     single ? linear.of_channels[i] : linear.of_groups[i]});
  }
}

/// The whole of some linears, their predictions added.
Unit whole_linears(const std::vector<LinearPredictions>& linears, const std::vector<size_t>& places,
                   const std::string& kind, const std::string& name) {
  Unit unit{kind, name, linears[places.front()].site.block, {}, {}};
  for (const size_t place : places) {
    const LinearPredictions& linear = linears[place];
    unit.block = std::min<int64_t>(unit.block, linear.site.block);
    unit.parts.push_back({place, {0, linear.site.in_features}});
    if (unit.predictions.empty()) {
      unit.predictions = linear.of_whole;
      continue;
    }
    for (size_t s = 0; s < unit.predictions.size(); ++s)
      for (size_t e = 0; e < unit.predictions[s].size(); ++e)
        unit.predictions[s][e].add(linear.of_whole[s][e]);
  }
  return unit;
}

Unit random_subset(const ValidationRequest& request, const std::vector<LinearPredictions>& linears,
                   int64_t size, int64_t number) {
  const std::string name =
      "subset " + std::to_string(number + 1) + " of " + std::to_string(size) + " linears";
  std::vector<size_t> places;
  for (const int64_t place :
       random_places(static_cast<int64_t>(linears.size()), size, name, request.seed))
    places.push_back(static_cast<size_t>(place));
  return whole_linears(linears, places, "subset", name);
}

}  // namespace

std::vector<Unit> units_of(const ValidationRequest& request,
                           const std::vector<LinearPredictions>& linears) {
  std::vector<Unit> units;
  std::map<int64_t, std::vector<size_t>> blocks;
  for (size_t place = 0; place < linears.size(); ++place)
    blocks[linears[place].site.block].push_back(place);
  for (const auto& [block, places] : blocks) {
    const std::string name = "block " + std::to_string(block);
    units.push_back(whole_linears(linears, places, "noise", name));
    for (const size_t place : places) {
      add_columns(linears, place, "channel", units);
      add_columns(linears, place, "group", units);
      if (wants(request, "linear"))
        units.push_back(whole_linears(linears, {place}, "linear", linears[place].site.name));
    }
    if (wants(request, "block")) units.push_back(whole_linears(linears, places, "block", name));
  }
  return units;
}

std::vector<Unit> subsets_of(const ValidationRequest& request,
                             const std::vector<LinearPredictions>& linears) {
  std::vector<Unit> units;
  const auto all = static_cast<int64_t>(linears.size());
  if (!wants(request, "linear") || request.subsets == 0 || all < 2) return units;
  for (int64_t size = 2; size < all; size *= 2)
    for (int64_t number = 0; number < request.subsets; ++number)
      units.push_back(random_subset(request, linears, size, number));
  units.push_back(random_subset(request, linears, all, 0));
  return units;
}

}  // namespace ptq::detail
