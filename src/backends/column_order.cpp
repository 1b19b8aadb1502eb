#include "column_order.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace ptq::backend {
namespace {

/// Cuts each group's words at the ends of the stretches.  `ends`: its last position's end.
void add_runs(const std::vector<int64_t>& ends, ColumnOrder& order) {
  constexpr int64_t kStretch = kDepth / kWordCodes;
  order.run_begin.push_back(0);
  int64_t word = 0;
  for (size_t group = 0; group < ends.size(); ++group) {
    while (word < ends[group] / kWordCodes) {
      const int64_t end = std::min(ends[group] / kWordCodes, (word / kStretch + 1) * kStretch);
      order.runs.push_back(
          {static_cast<int32_t>(group), static_cast<int32_t>(word), static_cast<int32_t>(end)});
      word = end;
      if (word % kStretch == 0) order.run_begin.push_back(static_cast<int64_t>(order.runs.size()));
    }
  }
  if (word % kStretch != 0) order.run_begin.push_back(static_cast<int64_t>(order.runs.size()));
}

}  // namespace

ColumnOrder column_order(const at::Tensor& group_of, int64_t groups) {
  const at::Tensor contiguous = group_of.contiguous();
  const int32_t* of = contiguous.data_ptr<int32_t>();
  const int64_t in = contiguous.size(0);
  std::vector<std::vector<int32_t>> members(static_cast<size_t>(groups));
  for (int64_t i = 0; i < in; ++i)
    members[static_cast<size_t>(of[i])].push_back(static_cast<int32_t>(i));
  ColumnOrder order;
  order.position.resize(static_cast<size_t>(in));
  order.in_place = true;
  std::vector<int64_t> ends;
  for (const std::vector<int32_t>& group : members) {
    for (const int32_t feature : group) {
      const auto at = static_cast<int32_t>(order.source.size());
      order.position[static_cast<size_t>(feature)] = at;
      order.in_place = order.in_place && at == feature;
      order.source.push_back(feature);
    }
    while (order.positions() % kWordCodes != 0)
      order.source.push_back(-1);
    ends.push_back(order.positions());
  }
  order.in_place = order.in_place && order.positions() == in;
  add_runs(ends, order);
  return order;
}

}  // namespace ptq::backend
