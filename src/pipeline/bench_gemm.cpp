#include "ptq/pipeline/bench_gemm.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/backends/selection.h"
#include "ptq/core/cpu.h"
#include "ptq/core/error.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

constexpr int kRounds = 3;  // in which backends and BLAS take turns: shared machines drift
constexpr size_t kLeastCalls = 3;
constexpr size_t kMostCopies = 256;  // small shapes: enough for the prefetcher to lose its way

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

/// One shape: the copies of its weights.
class ShapeBench {
 public:
  ShapeBench(const GemmBenchSettings& settings, const GemmShape& shape, const MachineRates& machine)
      : settings_(settings), shape_(shape), machine_(machine) {
    for (const std::string& name : settings.backends)
      add_backend(name);
    add_blas();
  }

  void run(int64_t rows, std::vector<GemmTiming>& timings) {
    if (contenders_.size() == 1) return;  // BLAS alone
    const auto row_bytes = static_cast<double>(rows) * sizeof(float);
    std::vector<at::Tensor> x, y;
    for (size_t left = copies_of(row_bytes * static_cast<double>(shape_.in)); left > 0; --left)
      x.push_back(at::randn({rows, shape_.in}));
    for (size_t left = copies_of(row_bytes * static_cast<double>(shape_.out)); left > 0; --left)
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

 private:
  size_t copies_of(double bytes) const {
    const double copies = 3.0 * static_cast<double>(machine_.cache_bytes) / bytes;
    return copies < kMostCopies ? 1 + static_cast<size_t>(copies) : kMostCopies;
  }

  void add_backend(const std::string& name) {
    Json settings = Json::object();
    if (settings_.backend_settings.contains(name))
      settings[name] = settings_.backend_settings.at(name);
    const BackendSelection selection(name, settings);
    const QuantizedTensor weight = random_weight(shape_, settings_.scheme);
    NamedBackend chosen;
    try {
      chosen = selection.choose(shape_of(weight, nullptr));
    } catch (const UnsupportedError&) {
      if (!settings_.skip_unsupported) throw;
      return;
    }
    const GemmBackend& backend = *chosen.backend;
    Contender contender;
    contender.name = name;
    contender.has_floor = backend.exact();
    std::shared_ptr<const PackedWeight> packed = backend.pack(weight, nullptr);
    contender.weight_bytes = static_cast<double>(packed->bytes());
    for (size_t left = copies_of(contender.weight_bytes); left > 0; --left) {
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
    for (size_t left = copies_of(contender.weight_bytes); left > 0; --left) {
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
    timing.blas_seconds = blas;
    const auto elements = static_cast<double>(rows * (shape_.in + shape_.out));
    timing.bytes = contender.weight_bytes + elements * sizeof(float);
    timing.flops = 2.0 * static_cast<double>(rows) * static_cast<double>(shape_.in * shape_.out);
    if (contender.has_floor)
      timing.floor_seconds = std::max(timing.bytes / machine_.read_bytes_per_second,
                                      timing.flops / machine_.flops_per_second);
    return timing;
  }

  const GemmBenchSettings& settings_;
  GemmShape shape_;
  const MachineRates& machine_;
  std::vector<Contender> contenders_;  ///< BLAS last
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

}  // namespace

GemmBenchResult run_gemm_bench(const GemmBenchSettings& settings) {
  check(settings);
  GemmBenchResult result;
  result.scheme = settings.scheme;
  result.threads = at::get_num_threads();
  result.instruction_set = cpu_level_name(cpu_level());
  if (settings.progress) settings.progress("the machine");
  result.machine = measure_machine();
  for (const GemmShape& shape : settings.shapes) {
    ShapeBench bench(settings, shape, result.machine);
    for (const int64_t rows : settings.rows)
      bench.run(rows, result.timings);
  }
  return result;
}

Json GemmTiming::to_json() const {
  return {{"backend", backend},
          {"in", shape.in},
          {"out", shape.out},
          {"rows", rows},
          {"seconds", seconds},
          {"blas_seconds", blas_seconds},
          {"bytes_per_second", bytes / seconds},
          {"flops_per_second", flops / seconds},
          {"floor_seconds", floor_seconds ? Json(*floor_seconds) : Json()},
          {"share_of_floor", floor_seconds ? Json(*floor_seconds / seconds) : Json()},
          {"times_blas", blas_seconds / seconds}};
}

Json GemmBenchResult::to_json() const {
  Json json = {{"threads", threads},
               {"instruction_set", instruction_set},
               {"scheme", scheme.name()},
               {"read_bytes_per_second", machine.read_bytes_per_second},
               {"flops_per_second", machine.flops_per_second},
               {"cache_bytes", machine.cache_bytes},
               {"timings", Json::array()}};
  for (const GemmTiming& timing : timings)
    json["timings"].push_back(timing.to_json());
  return json;
}

std::string GemmBenchResult::csv() const {
  std::string text =
      "backend,in,out,rows,seconds,blas_seconds,bytes_per_second,flops_per_second,floor_seconds\n";
  for (const GemmTiming& timing : timings) {
    const Json json = timing.to_json();
    text += timing.backend;
    for (const char* key : {"in", "out", "rows", "seconds", "blas_seconds", "bytes_per_second",
                            "flops_per_second", "floor_seconds"})
      text += "," + (json.at(key).is_null() ? "" : json.at(key).dump());
    text += "\n";
  }
  return text;
}

std::string GemmBenchResult::table() const {
  std::string text = std::to_string(threads) + " threads, " + instruction_set + ", " +
                     scheme.name() + "; memory is read at " +
                     fixed(machine.read_bytes_per_second * 1e-9, 1) +
                     " GB/s, BLAS multiplies float32 at " +
                     fixed(machine.flops_per_second * 1e-9, 1) + " GFLOP/s\n";
  Table table(
      {"backend", "K x N", "rows", "us", "GB/s", "GFLOP/s", "floor us", "% of floor", "x BLAS"});
  for (const GemmTiming& one : timings)
    table.add({one.backend, std::to_string(one.shape.in) + " x " + std::to_string(one.shape.out),
               std::to_string(one.rows), fixed(one.seconds * 1e6, 0),
               fixed(one.bytes / one.seconds * 1e-9, 2), fixed(one.flops / one.seconds * 1e-9, 1),
               one.floor_seconds ? fixed(*one.floor_seconds * 1e6, 0) : "",
               one.floor_seconds ? fixed(100 * *one.floor_seconds / one.seconds, 1) : "",
               fixed(one.blas_seconds / one.seconds, 2)});
  return text + table.text();
}

}  // namespace ptq
