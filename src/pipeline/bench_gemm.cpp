#include "ptq/pipeline/bench_gemm.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/backends/rotation.h"
#include "ptq/backends/selection.h"
#include "ptq/core/cpu.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

constexpr int kRounds = 3;  // in which backends and BLAS take turns: shared machines drift
constexpr size_t kLeastCalls = 3;

QuantizedTensor random_weight(const GemmShape& shape, const QuantScheme& scheme) {
  const int64_t groups = scheme.groups(shape.in);
  const int levels = 1 << scheme.bits;
  QuantizedTensor weight;
  weight.scheme = scheme;
  weight.q = at::randint(0, levels, {shape.out, shape.in}, at::kByte);
  weight.scale = storable_scale(at::rand({shape.out, groups}) * 0.01 + 0.001, at::kHalf);
  weight.zero = at::full({shape.out, groups}, levels / 2, at::kByte);
  if (!scheme.symmetric) weight.zero = at::randint(0, levels, {shape.out, groups}, at::kByte);
  weight.group_of = contiguous_groups(scheme, shape.in);
  return weight;
}

/// Something to call with copy i of its operands.
struct Contender {
  std::string name;
  double weight_bytes = 0.0;
  bool has_floor = true;  ///< its memory and arithmetic are those that were measured
  std::vector<std::function<void(const at::Tensor& x, const at::Tensor& y)>> copies;
  std::vector<double> seconds;
};

/// A backend that is timed on its own device.
struct DeviceContender {
  std::string name;
  std::unique_ptr<DeviceProducts> products;
};

double flops_of(const GemmShape& shape, int64_t rows) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(shape.in * shape.out);
}

/// One shape: the copies of its weights.
class ShapeBench {
 public:
  ShapeBench(const GemmBenchSettings& settings, const std::vector<BackendSelection>& selections,
             const GemmShape& shape, const MachineRates& machine)
      : settings_(settings), shape_(shape), machine_(machine) {
    for (size_t i = 0; i < selections.size(); ++i)
      add_backend(settings.backends[i], selections[i]);
    if (!contenders_.empty()) add_blas();
  }

  const std::vector<DeviceContender>& on_devices() const { return on_devices_; }
  /// The backends that do not take the shape, and why.
  const std::vector<std::string>& left_out() const { return left_out_; }

  void run(int64_t rows, std::vector<GemmTiming>& timings) {
    if (!contenders_.empty()) run_here(rows, timings);
    for (const DeviceContender& contender : on_devices_) {
      if (settings_.progress) settings_.progress(contender.name);
      timings.push_back(timing(contender, rows));
    }
  }

 private:
  void run_here(int64_t rows, std::vector<GemmTiming>& timings) {
    const auto row_bytes = static_cast<double>(rows) * sizeof(float);
    std::vector<at::Tensor> x, y;
    for (int64_t left = copies_of(row_bytes * static_cast<double>(shape_.in)); left > 0; --left)
      x.push_back(at::randn({rows, shape_.in}));
    for (int64_t left = copies_of(row_bytes * static_cast<double>(shape_.out)); left > 0; --left)
      y.push_back(at::empty({rows, shape_.out}));
    for (Contender& contender : contenders_)
      contender.seconds.clear();
    for (int round = 0; round < kRounds; ++round)
      for (Contender& contender : contenders_)
        measure(contender, x, y);
    const double blas = median(contenders_.back());
    for (size_t i = 0; i + 1 < contenders_.size(); ++i)
      timings.push_back(timing(contenders_[i], rows, blas));
  }

  int64_t copies_of(double bytes) const { return rotating_copies(bytes, machine_.cache_bytes); }

  void add_backend(const std::string& name, const BackendSelection& selection) {
    const QuantizedTensor weight = random_weight(shape_, settings_.scheme);
    NamedBackend chosen;
    std::unique_ptr<DeviceProducts> products;
    try {
      chosen = selection.choose(shape_of(weight, nullptr));
      products = chosen.backend->on_device(weight);
    } catch (const UnsupportedError& error) {
      if (!settings_.skip_unsupported) throw;
      left_out_.push_back(name + ": " + error.what());
      return;
    }
    if (products != nullptr)
      on_devices_.push_back({name, std::move(products)});
    else
      add_here(name, *chosen.backend, weight);
  }

  void add_here(const std::string& name, const GemmBackend& backend,
                const QuantizedTensor& weight) {
    Contender contender;
    contender.name = name;
    contender.has_floor = backend.exact();
    std::shared_ptr<const PackedWeight> packed = backend.pack(weight, nullptr);
    contender.weight_bytes = static_cast<double>(packed->bytes());
    for (int64_t left = copies_of(contender.weight_bytes); left > 0; --left) {
      if (packed == nullptr) packed = backend.pack(weight, nullptr);
      contender.copies.push_back(
          [packed](const at::Tensor& x, const at::Tensor& y) { packed->multiply(x, y); });
      packed = nullptr;
    }
    contenders_.push_back(std::move(contender));
  }

  void add_blas() {
    Contender contender;
    contender.name = "blas";
    contender.weight_bytes = static_cast<double>(shape_.in * shape_.out) * sizeof(float);
    for (int64_t left = copies_of(contender.weight_bytes); left > 0; --left) {
      const at::Tensor weight = at::randn({shape_.out, shape_.in});
      contender.copies.push_back([weight](const at::Tensor& x, const at::Tensor& y) {
        at::Tensor result = y;
        at::mm_out(result, x, weight.t());
      });
    }
    contenders_.push_back(std::move(contender));
  }

  void measure(Contender& contender, const std::vector<at::Tensor>& x,
               const std::vector<at::Tensor>& y) const {
    if (settings_.progress) settings_.progress(contender.name);
    double total = 0.0;
    const size_t least = contender.seconds.size() + kLeastCalls;
    for (size_t call = 0; total < settings_.seconds / kRounds || contender.seconds.size() < least;
         ++call) {
      const auto start = std::chrono::steady_clock::now();
      contender.copies[call % contender.copies.size()](x[call % x.size()], y[call % y.size()]);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      total += took.count();
      if (call > 0) contender.seconds.push_back(took.count());  // the first call warms up
    }
  }

  static double median(Contender& contender) {
    auto middle =
        contender.seconds.begin() + static_cast<std::ptrdiff_t>(contender.seconds.size() / 2);
    std::nth_element(contender.seconds.begin(), middle, contender.seconds.end());
    return *middle;
  }

  GemmTiming timing(Contender& contender, int64_t rows, double blas) const {
    GemmTiming timing;
    timing.backend = contender.name;
    timing.shape = shape_;
    timing.rows = rows;
    timing.seconds = median(contender);
    timing.dense = "BLAS float32";
    timing.dense_seconds = blas;
    const auto elements = static_cast<double>(rows * (shape_.in + shape_.out));
    timing.bytes = contender.weight_bytes + elements * sizeof(float);
    timing.flops = flops_of(shape_, rows);
    if (contender.has_floor)
      timing.floor_seconds = std::max(timing.bytes / machine_.read_bytes_per_second,
                                      timing.flops / machine_.flops_per_second);
    return timing;
  }

  GemmTiming timing(const DeviceContender& contender, int64_t rows) const {
    const DeviceRates& device = contender.products->rates();
    const DeviceTiming measured =
        contender.products->time(rows, settings_.launch, settings_.seconds);
    GemmTiming timing;
    timing.backend = contender.name;
    timing.shape = shape_;
    timing.rows = rows;
    timing.launch = settings_.launch == Launch::kGraph ? "graph" : "plain";
    timing.seconds = measured.seconds;
    timing.dense = device.dense;
    timing.dense_seconds = measured.dense_seconds;
    timing.bytes = measured.bytes;
    timing.flops = flops_of(shape_, rows);
    timing.floor_seconds = std::max(timing.bytes / device.copy_bytes_per_second,
                                    timing.flops / device.flops_per_second);
    return timing;
  }

  const GemmBenchSettings& settings_;
  GemmShape shape_;
  const MachineRates& machine_;
  std::vector<Contender> contenders_;  ///< in host memory; BLAS last, unless there is no other
  std::vector<DeviceContender> on_devices_;
  std::vector<std::string> left_out_;
};

void check(const GemmBenchSettings& settings) {
  settings.scheme.check();
  if (settings.shapes.empty() || settings.rows.empty() || settings.backends.empty())
    throw ConfigError("there is nothing to measure", "name shapes, rows and backends");
  for (const GemmShape& shape : settings.shapes)
    if (shape.in < 1 || shape.out < 1) throw ConfigError("a shape's sizes must be positive");
  for (const int64_t rows : settings.rows)
    if (rows < 1) throw ConfigError("rows are " + std::to_string(rows) + ", must be positive");
  for (const auto& item : settings.backend_settings.items())
    if (std::find(settings.backends.begin(), settings.backends.end(), item.key()) ==
        settings.backends.end())
      throw ConfigError("options of backend " + item.key() + ", which is not measured");
  for (const std::string& name : settings.backends)
    if (name == "auto")
      throw ConfigError("bench gemm measures backends by name, not \"auto\"",
                        "leave --backend out for all that run here");
}

/// Each measured backend with its options.
std::vector<BackendSelection> selections_of(const GemmBenchSettings& settings) {
  std::vector<BackendSelection> selections;
  for (const std::string& name : settings.backends) {
    Json own = Json::object();
    if (settings.backend_settings.contains(name)) own[name] = settings.backend_settings.at(name);
    selections.emplace_back(name, own);
  }
  return selections;
}

/// Adds the devices of `contenders` that are not listed yet.
void list_devices(const std::vector<DeviceContender>& contenders,
                  std::vector<GemmDevice>& devices) {
  for (const DeviceContender& contender : contenders) {
    const DeviceRates& rates = contender.products->rates();
    const bool listed = std::any_of(devices.begin(), devices.end(), [&](const GemmDevice& device) {
      return device.backend == contender.name && device.rates.dense == rates.dense;
    });
    if (!listed) devices.push_back({contender.name, rates});
  }
}

}  // namespace

GemmBenchResult run_gemm_bench(const GemmBenchSettings& settings) {
  check(settings);
  const std::vector<BackendSelection> selections = selections_of(settings);
  GemmBenchResult result;
  result.scheme = settings.scheme;
  result.threads = at::get_num_threads();
  result.instruction_set = cpu_level_name(cpu_level());
  if (settings.progress) settings.progress("the machine");
  result.machine = measure_machine();
  for (const GemmShape& shape : settings.shapes) {
    ShapeBench bench(settings, selections, shape, result.machine);
    list_devices(bench.on_devices(), result.devices);
    for (const std::string& reason : bench.left_out())
      if (std::find(result.left_out.begin(), result.left_out.end(), reason) ==
          result.left_out.end())
        result.left_out.push_back(reason);
    const bool last = &shape == &settings.shapes.back();
    if (settings.launch == Launch::kGraph && last && result.devices.empty())
      throw ConfigError(
          "no measured backend launches products on a device, so that there is no graph",
          "leave --launch out");
    for (const int64_t rows : settings.rows)
      bench.run(rows, result.timings);
  }
  return result;
}

}  // namespace ptq
