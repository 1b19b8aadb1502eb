// What `ptq bench gemm` prints.
#include "ptq/pipeline/bench_gemm.h"
#include "ptq/report/table.h"

namespace ptq {

Json GemmTiming::to_json() const {
  return {{"backend", backend},
          {"in", shape.in},
          {"out", shape.out},
          {"rows", rows},
          {"launch", launch.empty() ? Json() : Json(launch)},
          {"seconds", seconds},
          {"dense", dense},
          {"dense_seconds", dense_seconds},
          {"bytes_per_second", bytes / seconds},
          {"flops_per_second", flops / seconds},
          {"floor_seconds", floor_seconds ? Json(*floor_seconds) : Json()},
          {"share_of_floor", floor_seconds ? Json(*floor_seconds / seconds) : Json()},
          {"times_dense", dense_seconds / seconds}};
}

Json GemmBenchResult::to_json() const {
  Json json = {{"threads", threads},
               {"instruction_set", instruction_set},
               {"scheme", scheme.name()},
               {"read_bytes_per_second", machine.read_bytes_per_second},
               {"flops_per_second", machine.flops_per_second},
               {"cache_bytes", machine.cache_bytes},
               {"backends_left_out", left_out},
               {"devices", Json::array()},
               {"timings", Json::array()}};
  for (const GemmDevice& one : devices)
    json["devices"].push_back({{"backend", one.backend},
                               {"device", one.rates.device},
                               {"copy_bytes_per_second", one.rates.copy_bytes_per_second},
                               {"dense", one.rates.dense},
                               {"flops_per_second", one.rates.flops_per_second},
                               {"cache_bytes", one.rates.cache_bytes}});
  for (const GemmTiming& timing : timings)
    json["timings"].push_back(timing.to_json());
  return json;
}

std::string GemmBenchResult::csv() const {
  std::string text =
      "backend,in,out,rows,launch,seconds,dense,dense_seconds,bytes_per_second,flops_per_second,"
      "floor_seconds\n";
  for (const GemmTiming& timing : timings) {
    const Json json = timing.to_json();
    text += timing.backend;
    for (const char* key : {"in", "out", "rows", "launch", "seconds", "dense", "dense_seconds",
                            "bytes_per_second", "flops_per_second", "floor_seconds"}) {
      const Json& value = json.at(key);
      text += "," + (value.is_null()     ? ""
                     : value.is_string() ? value.get<std::string>()
                                         : value.dump());
    }
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
  for (const GemmDevice& one : devices)
    text += one.backend + " on " + one.rates.device + ": memory is copied at " +
            fixed(one.rates.copy_bytes_per_second * 1e-9, 1) + " GB/s (read and written), " +
            one.rates.dense + " multiplies at " + fixed(one.rates.flops_per_second * 1e-12, 1) +
            " TFLOP/s\n";
  for (const std::string& reason : left_out)
    text += "left out: " + reason + "\n";
  Table table({"backend", "K x N", "rows", "launch", "us", "GB/s", "GFLOP/s", "floor us",
               "% of floor", "dense", "x dense"});
  for (const GemmTiming& one : timings)
    table.add({one.backend, std::to_string(one.shape.in) + " x " + std::to_string(one.shape.out),
               std::to_string(one.rows), one.launch, fixed(one.seconds * 1e6, 1),
               fixed(one.bytes / one.seconds * 1e-9, 2), fixed(one.flops / one.seconds * 1e-9, 1),
               one.floor_seconds ? fixed(*one.floor_seconds * 1e6, 1) : "",
               one.floor_seconds ? fixed(100 * *one.floor_seconds / one.seconds, 1) : "", one.dense,
               fixed(one.dense_seconds / one.seconds, 2)});
  return text + table.text();
}

}  // namespace ptq
