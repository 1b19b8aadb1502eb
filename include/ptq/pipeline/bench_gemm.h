#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ptq/backends/device_products.h"
#include "ptq/core/options.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// A linear to measure: y [rows, out] = x [rows, in] Wᵀ.
struct GemmShape {
  int64_t in = 0, out = 0;
};

/// What `ptq bench gemm` measures: every shape with every number of rows on every backend.
struct GemmBenchSettings {
  std::vector<GemmShape> shapes;
  std::vector<int64_t> rows;
  std::vector<std::string> backends;       ///< names in the registry
  Json backend_settings = Json::object();  ///< options of some of them, by name
  bool skip_unsupported = false;           ///< leaves out what a backend does not take
  QuantScheme scheme;
  Launch launch = Launch::kPlain;  ///< on backends that are timed on their device
  double seconds = 0.6;  ///< for each backend, shape and number of rows, and for the dense product
  std::function<void(const std::string&)> progress;  ///< before each; may throw to stop
};

/// What this machine can do with all threads, measured in the same run.
struct MachineRates {
  double read_bytes_per_second = 0.0;  ///< reading more memory than the caches hold
  double flops_per_second = 0.0;       ///< the linked BLAS's float32 product of 2048-cubed matrices
  int64_t cache_bytes = 0;             ///< of the last level
};
/// Measures them; takes a few seconds.
MachineRates measure_machine();

/// One line of the result.
struct GemmTiming {
  std::string backend;
  GemmShape shape;
  int64_t rows = 0;
  std::string launch;    ///< "plain" or "graph" where a backend was timed on its device, else empty
  double seconds = 0.0;  ///< median of a call
  std::string dense;     ///< what it is compared with: "BLAS float32", or the device's product
  double dense_seconds = 0.0;  ///< … with a weight of the shape that is not packed
  double bytes = 0.0;          ///< packed weight, x and y
  double flops = 0.0;          ///< 2 · rows · in · out
  /// The longer of bytes and flops at the rates of the machine or of the backend's device; none for
  /// a backend that is not exact() and not timed on a device: whose rates would be those?
  std::optional<double> floor_seconds;

  /// All of it with the rates and ratios; null where there is no floor.
  Json to_json() const;
};

/// A device on which a backend was timed.
struct GemmDevice {
  std::string backend;
  DeviceRates rates;
};

/// What run_gemm_bench found.
struct GemmBenchResult {
  MachineRates machine;
  std::vector<GemmDevice> devices;
  std::string instruction_set;
  int threads = 0;
  QuantScheme scheme;
  std::vector<GemmTiming> timings;
  std::vector<std::string> left_out;  ///< backends and why each, or some of its shapes, is missing

  /// The machine, the devices and every timing, in seconds and bytes.
  Json to_json() const;
  /// A line for each timing below the names of its fields; empty where there is no floor.
  std::string csv() const;
  /// For people: a line on the machine and one on each device, and a table.
  std::string table() const;
};

/// Measures.  Weights, inputs and results rotate as rotating_copies says, so that every call reads
/// its weight from memory.  A backend that offers products on_device is timed on its device and
/// compared with that device's rates and dense product, others from host memory with the machine's.
/// Throws UnsupportedError for a backend that cannot run here or, unless skip_unsupported, does not
/// take the scheme or cannot be timed; ConfigError for an unknown one or option of one, for "auto",
/// for sizes that are not positive and for a graph where no backend is timed on a device.
GemmBenchResult run_gemm_bench(const GemmBenchSettings& settings);

}  // namespace ptq
