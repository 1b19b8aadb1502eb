#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/io/dataset.h"
#include "ptq/pipeline/plan.h"

namespace ptq {

/// Everything `ptq quantize` is told.
struct QuantizeJob {
  std::filesystem::path model, out;
  std::string method = "gptq";
  std::string format = "compressed-tensors";
  PlanRequest plan;
  Json plugin_options = Json::object();  ///< by plug-in name: {"gptq": {"damping": 0.01}}
  CalibrationRequest calibration;
  /// Statistics of the unquantized model to use instead, or beside where the method reads both;
  /// empty: none.
  std::filesystem::path stats;
  /// Single weights that the method is to leave out and that stand beside its result in 16 bits, by
  /// linear: int64 [n], places o · in + i, rising.
  std::map<std::string, at::Tensor> apart;
  /// A directory where the unquantized weights of every block are kept as the method prepared them
  /// (Quantizer::prepares_blocks), float32, one safetensors file a block; empty: they are not.
  std::filesystem::path prepared;
  int64_t memory_limit_bytes = -1;  ///< of the process; -1: the machine's memory
  int max_fallbacks = 0;            ///< more end the run with NumericalError
  /// Report every linear's error by the outputs, of whatever method: collects the Gram matrices of
  /// the inputs, for which calibration data is needed, and takes QuantizedSite::relative_error's
  /// definition with the full-precision weight.
  bool measure_outputs = false;
  bool verify = true;  ///< read every quantized tensor back and compare
  bool resume = false, overwrite = false;
  /// What at::set_num_threads was given, for the manifest and the comparison on --resume.  The run
  /// works on at::get_num_threads() processors whatever stands here.
  int threads = 1;
  std::string device = "cpu";  ///< where the sweep and what goes with it run: see open_device
  std::string command;         ///< as typed, for the manifest

  /// The settings that decide the output's bytes.
  Json to_json() const;
};

/// Where a run tells how far it is; calls come from the run's own thread.
class ProgressListener {
 public:
  virtual ~ProgressListener() = default;
  /// A part of the run begins; `done` of its steps were done by the run that this one resumes.
  virtual void begin(const std::string& what, int64_t steps, int64_t done) = 0;
  /// `done` of `steps`; `line` describes the step just done.
  virtual void step(int64_t done, const std::string& line) = 0;
  virtual void note(const std::string& line) = 0;     ///< information
  virtual void warning(const std::string& line) = 0;  ///< the result may be worse than asked
  /// Called often; may throw InterruptedError.
  virtual void poll() {}
};

}  // namespace ptq
