#pragma once
#include <set>
#include <string>
#include <vector>

#include "ptq/formats/format.h"

namespace ptq {

/// What an engine's loader of one format accepts, as read in its source (docs/formats.md).
struct EngineRule {
  std::string engine;
  std::set<int> symmetric_bits;        ///< widths of symmetric schemes it loads
  std::set<int> asymmetric_bits;       ///< widths of asymmetric schemes it loads
  std::string other_widths;            ///< why not the others
  std::set<int64_t> group_sizes = {};  ///< empty: any
  bool channel = true;                 ///< one scale a row
  bool mixed = true;                   ///< several schemes in one model
  bool fuses = false;                  ///< needs one scheme within every FusedSet
  int64_t out_multiple = 1, in_multiple = 1;
  std::string note = {};  ///< how it loads
};

/// Every rule applied to an output: the first thing that is not accepted is the note.
std::vector<EngineSupport> judge(const std::vector<EngineRule>& rules,
                                 const FormatContext& context);

}  // namespace ptq
