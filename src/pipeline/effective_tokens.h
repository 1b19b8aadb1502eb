#pragma once
#include <map>
#include <string>
#include <vector>

#include "ptq/calib/store.h"

namespace ptq::detail {

/// The statistic that effective_tokens reads.
constexpr const char* kEffectiveTokensStatistic = "gradient-energy";

/// How many equally weighted tokens the gradient-weighted sums of each of `sites` are worth, by
/// name: (ΣD)²/ΣD² with D_t = ‖g_t‖², from 1 (a single token decides) to the number of tokens; 0
/// without any gradient.  Empty if `store` has no such statistic.
std::map<std::string, double> effective_tokens(StatsStore& store,
                                               const std::vector<LinearSite>& sites);

/// The least, the median and the most of these in a line for people; nothing for none.
std::string effective_tokens_line(const std::map<std::string, double>& effective, int64_t tokens);

}  // namespace ptq::detail
