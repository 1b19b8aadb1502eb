#include "data_options.h"

namespace ptq::cli {

void DataArgs::declare(CLI::App& command) {
  command
      .add_option("--calibration", files,
                  "Calibration data: .txt, .jsonl with \"text\", or .json token ids")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command.add_option("--samples", request.samples, "Calibration windows")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--seqlen", request.seqlen, "Tokens a window")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--windows", request.windows, "Which windows: spread, first or random")
      ->check(CLI::IsMember({"spread", "first", "random"}))
      ->type_name("WHICH")
      ->capture_default_str();
  command.add_option("--seed", request.seed, "Seed of everything random")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--overlap-with", overlap_with,
                  "Report how much of this evaluation text the calibration holds")
      ->type_name("FILE");
}

CalibrationRequest DataArgs::parsed() const {
  CalibrationRequest result = request;
  result.files.assign(files.begin(), files.end());
  result.overlap_with = overlap_with;
  return result;
}

void SweepArgs::declare(CLI::App& command, bool shards) {
  command
      .add_option("--labels", labels,
                  "Loss against the data, or against labels sampled from the model")
      ->check(CLI::IsMember({"data", "sampled"}))
      ->type_name("WHICH")
      ->capture_default_str();
  command
      .add_option("--sequences-per-set", sequences_per_set,
                  "Windows whose states lie on disk together; 0: as many as 8 GiB hold")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  if (shards)
    command
        .add_option("--shard", shard,
                    "Only the I-th of N parts of the windows; join them with ptq stats merge")
        ->type_name("I/N");
}

CalibrationData SweepArgs::parsed(const DataArgs& data) const {
  CalibrationData result;
  result.request = data.parsed();
  result.labels = labels;
  result.sequences_per_set = sequences_per_set;
  if (shard.empty()) return result;
  const size_t slash = shard.find('/');
  const auto number = [&](const std::string& text) {
    size_t used = 0;
    const int64_t value = text.empty() ? 0 : std::stoll(text, &used);
    return used == text.size() ? value : 0;
  };
  try {
    result.shard = number(shard.substr(0, slash));
    result.shard_count = slash == std::string::npos ? 0 : number(shard.substr(slash + 1));
  } catch (const std::logic_error&) {
    result.shard_count = 0;
  }
  if (result.shard < 1 || result.shard > result.shard_count)
    throw ConfigError("--shard " + shard + " is not a part of the whole", "write 1/4 ... 4/4");
  return result;
}

}  // namespace ptq::cli
