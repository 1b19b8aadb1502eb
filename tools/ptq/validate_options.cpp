#include "validate_options.h"

namespace ptq::cli {

void ValidateArgs::declare(CLI::App& command) {
  request.heldout.samples = 8;
  request.heldout.seqlen = 256;
  command.add_flag("--validate", validate,
                   "Measure what perturbed columns do on held-out text, and compare");
  command.add_option("--heldout", heldout, "Text for --validate that the calibration has not seen")
      ->type_name("FILE")
      ->allow_extra_args(false);
  const auto number = [&](const char* name, int64_t& value, const char* help) {
    command.add_option(name, value, help)
        ->check(CLI::PositiveNumber)
        ->type_name("N")
        ->capture_default_str();
  };
  number("--validate-windows", request.heldout.samples, "Windows of held-out text");
  number("--validate-seqlen", request.heldout.seqlen, "Tokens of each");
  command
      .add_option("--validate-bits", bits,
                  "Perturb by the rounding error of so many bits; several one after the other")
      ->delimiter(',')
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--validate-group-size", group_size, "Inputs that share a scale; -1: the row")
      ->type_name("N")
      ->capture_default_str();
  auto* fixed = command.add_flag("--validate-symmetric", symmetric,
                                 "Rounding with a fixed zero point (the default)");
  command.add_flag("--validate-asymmetric", asymmetric, "Rounding with a zero point a group")
      ->excludes(fixed);
  command.add_option("--validate-units", units, "What is perturbed at a time")
      ->delimiter(',')
      ->check(CLI::IsMember({"channel", "group", "linear", "block"}))
      ->type_name("KIND")
      ->capture_default_str();
  number("--validate-sample", request.sample, "Channels, and groups, to measure of every linear");
  command
      .add_option("--validate-subsets", request.subsets,
                  "Random subsets of linears of each size, for additivity")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--validate-scale", request.scales,
                  "Factors of the perturbation; effects are divided by the factor's square")
      ->delimiter(',')
      ->type_name("X")
      ->capture_default_str();
}

ValidationRequest ValidateArgs::parsed(uint64_t seed) const {
  if (!validate && !heldout.empty())
    throw ConfigError("--heldout is for --validate, which is not there", "add --validate");
  ValidationRequest result = request;
  if (!validate) return result;
  result.heldout.files.assign(heldout.begin(), heldout.end());
  result.units = units;
  result.seed = seed;
  result.schemes.clear();
  for (const int count : bits)
    result.schemes.push_back(QuantScheme{count, group_size, symmetric && !asymmetric});
  return result;
}

}  // namespace ptq::cli
