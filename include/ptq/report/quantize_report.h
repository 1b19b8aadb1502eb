#pragma once
#include <string>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/formats/format.h"

namespace ptq {

/// The file of an output directory that holds its report and the hashes of its files.
constexpr const char* kManifestFile = "ptq-manifest.json";

/// What became of one linear.
struct SiteReport {
  std::string name;
  int block = 0;
  int64_t out_features = 0, in_features = 0;
  QuantScheme scheme;
  double relative_error = 0;           ///< QuantizedSite::relative_error
  Json details = Json::object();       ///< what the method reports: damping, dead columns, …
  std::vector<std::string> fallbacks;  ///< what was done other than asked, and why
  double seconds = 0;                  ///< of the quantizer alone
  int64_t sparse_values = 0;           ///< single weights that stand beside
  int64_t sparse_bytes = 0;            ///< what these take on disk

  Json to_json() const;                           ///< all but the seconds
  static SiteReport from_json(const Json& json);  ///< throws FormatError
};

/// Seconds of the parts of a run; they add up to less than the whole.
struct PhaseSeconds {
  double hash = 0, data = 0, load = 0, statistics = 0, quantize = 0, forward = 0, write = 0,
         verify = 0;
  double total() const {
    return hash + data + load + statistics + quantize + forward + write + verify;
  }
  Json to_json() const;
};

/// Everything a quantize run decided and measured.
struct QuantizeReport {
  Json settings;     ///< effective settings of the run
  Json inputs;       ///< hashes of model, tokenizer and data
  Json calibration;  ///< CalibrationReport, or null
  std::vector<SiteReport> sites;
  std::vector<std::string> skipped;  ///< linears left as they were
  std::vector<std::string> warnings;
  std::vector<EngineSupport> engines;
  Json method = nullptr;  ///< what a method for whole models tells of the model; null: nothing
  int64_t input_bytes = 0, output_bytes = 0;  ///< of the tensor data
  int64_t peak_rss_bytes = 0;
  PhaseSeconds seconds;
  double wall_seconds = 0;
  Json method_seconds = nullptr;  ///< of the parts of a method for whole models; null: none
  int resumed_blocks = 0;

  int fallbacks() const;
  double bits_per_weight() const;         ///< over the quantized linears, scales and zeros included
  int64_t sparse_bytes() const;           ///< of the single weights beside the quantized linears
  double sparse_bits_per_weight() const;  ///< of the single weights beside them, indices included
  double mean_relative_error() const;
  /// All but timings and memory: the same run gives the same JSON.
  Json to_json() const;
  /// The report that `to_json` gave, without timings and memory; throws FormatError.
  static QuantizeReport from_json(const Json& json);
  Json timing_json() const;
  /// The worst linears by relative error, bits per weight, sizes, time.
  std::string text() const;
};

}  // namespace ptq
