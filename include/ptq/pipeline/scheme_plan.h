#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// `format` in every plan.json.
constexpr const char* kSchemePlanFormat = "ptq-plan";

/// The schemes that a plan.json of `ptq plan` gives the linears of one model.
struct SchemePlan {
  std::filesystem::path file;
  QuantPlan schemes;
  std::vector<std::string> left;  ///< linears that stay as they are
  Json model;                     ///< digests of the model's files, by name
  std::string checkpoint_format;  ///< the layout that its bytes are of
  Json to_json() const;           ///< {linear: "w4g64" or null}: what decides an output
};

/// Reads a plan.  Throws ConfigError if there is no such file, FormatError naming the fault if it
/// is no plan, or has a linear twice or a scheme that is out of range.
SchemePlan read_scheme_plan(const std::filesystem::path& file);

}  // namespace ptq
