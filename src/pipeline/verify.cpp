#include <set>

#include <ATen/ATen.h>

#include "ptq/formats/open.h"
#include "ptq/io/json.h"
#include "ptq/io/sha256.h"
#include "ptq/pipeline/inspect.h"
#include "ptq/report/quantize_report.h"

namespace ptq {
namespace {

/// Decodes every quantized linear and looks at what came out.
void verify_linears(const OpenedModel& opened, std::vector<VerifyOutcome>& outcomes) {
  VerifyOutcome layout{"layout", true, ""};
  VerifyOutcome scales{"scales", true, ""};
  VerifyOutcome zeros{"zero points", true, ""};
  const auto fail = [](VerifyOutcome& outcome, const std::string& detail) {
    if (outcome.passed) outcome.detail = detail;
    outcome.passed = false;
  };
  int linears = 0;
  int64_t groups = 0, tables = 0;
  for (const LinearSite& site : opened.model->sites()) {
    const auto planned = opened.plan.find(site.name);
    if (planned == opened.plan.end()) continue;
    ++linears;
    try {
      const QuantizedTensor weight =
          opened.layout->unpack(site, planned->second, *opened.checkpoint);
      if (weight.scheme.lookup) {  // whose values `unpack` has looked at
        tables += weight.table.size(0);
        continue;
      }
      groups += weight.scale.numel();
      if (!at::isfinite(weight.scale).all().item<bool>() || (weight.scale == 0).any().item<bool>())
        fail(scales, site.name + " has a scale that is zero or not finite");
      if (weight.scheme.symmetric &&
          !(weight.zero == (1 << (weight.scheme.bits - 1))).all().item<bool>())
        fail(zeros, site.name + " is symmetric and has a zero point off the middle");
    } catch (const Error& error) {
      fail(layout, error.what());
    }
  }
  if (layout.passed) layout.detail = std::to_string(linears) + " linears decoded";
  if (scales.passed) scales.detail = std::to_string(groups) + " scales finite and not zero";
  if (zeros.passed) zeros.detail = "as the format has them";
  outcomes.push_back(layout);
  if (tables > 0)
    outcomes.push_back({"lookup tables", true, std::to_string(tables) + " finite, never falling"});
  else
    outcomes.insert(outcomes.end(), {scales, zeros});
}

/// Decodes the single weights of every linear that has some.
VerifyOutcome verify_sparse(const SparsePart& sparse) {
  try {
    for (const std::string& site : sparse.sites()) {
      sparse.find(site);
      sparse.release(site);
    }
  } catch (const FormatError& error) {
    return {"single weights", false, error.what()};
  }
  return {"single weights", true,
          std::to_string(sparse.total_count()) + " in " + std::to_string(sparse.sites().size()) +
              " linears finite and in their places"};
}

/// Every tensor belongs to a linear, or is none of the kinds that only quantized linears have.
VerifyOutcome verify_inventory(const OpenedModel& opened) {
  std::set<std::string> linears;
  for (const LinearSite& site : opened.model->sites())
    linears.insert(site.name);
  for (const std::string& name : opened.checkpoint->names()) {
    const at::ScalarType dtype = opened.checkpoint->entry(name).dtype;
    // Engines take every module that owns an integer tensor for a quantized one.
    if (!at::isFloatingType(dtype) && !linears.count(name.substr(0, name.rfind('.'))))
      return {"inventory", false, name + " is an integer tensor of no linear layer"};
  }
  return {"inventory", true,
          std::to_string(opened.checkpoint->names().size()) + " tensors accounted for"};
}

VerifyOutcome verify_hashes(const std::filesystem::path& directory) {
  const auto file = directory / kManifestFile;
  if (!std::filesystem::exists(file))
    return {"hashes", true,
            std::string("no ") + kManifestFile + ": made by another tool, not checked"};
  const Json manifest = read_json_file(file);
  if (!manifest.is_object() || !manifest.contains("outputs") || !manifest.at("outputs").is_object())
    throw FormatError(file.string() + " has no object \"outputs\"");
  const Json& outputs = manifest.at("outputs");
  for (const auto& item : outputs.items()) {
    const auto path = directory / std::filesystem::path(item.key()).filename();
    if (!std::filesystem::exists(path)) return {"hashes", false, item.key() + " is missing"};
    if (item.value() != sha256_file(path))
      return {"hashes", false, item.key() + " was changed after it was written"};
  }
  return {"hashes", true, std::to_string(outputs.size()) + " files as written"};
}

}  // namespace

std::vector<VerifyOutcome> verify_directory(const std::filesystem::path& directory) {
  const OpenedModel opened = open_directory(directory);
  if (opened.format.empty())
    throw UnsupportedError(directory.string() + " is not quantized: nothing to verify",
                           "ptq inspect shows what it holds");
  std::vector<VerifyOutcome> outcomes;
  verify_linears(opened, outcomes);
  if (opened.sparse != nullptr) outcomes.push_back(verify_sparse(*opened.sparse));
  outcomes.push_back(verify_inventory(opened));
  outcomes.push_back(verify_hashes(directory));
  return outcomes;
}

}  // namespace ptq
