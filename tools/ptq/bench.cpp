#include <algorithm>
#include <charconv>
#include <memory>

#include "command.h"
#include "progress.h"
#include "ptq/backends/backend.h"
#include "ptq/core/error.h"
#include "ptq/formats/open.h"
#include "ptq/pipeline/bench_gemm.h"

namespace ptq::cli {
namespace {

struct BenchArgs {
  std::string model;
  std::vector<std::string> shapes, backends, settings;
  std::vector<int64_t> rows = {1, 12, 256};
  std::string launch = "plain";
  int64_t group_size = 128;
  bool asymmetric = false, csv = false;
};

GemmShape parse_shape(const std::string& text) {
  GemmShape shape;
  const char* end = text.data() + text.size();
  const auto in = std::from_chars(text.data(), end, shape.in);
  const bool comma = in.ec == std::errc() && in.ptr != end && *in.ptr == ',';
  const auto out = comma ? std::from_chars(in.ptr + 1, end, shape.out) : in;
  if (!comma || out.ec != std::errc() || out.ptr != end)
    throw ConfigError("--shape \"" + text + "\" is not K,N", "for example --shape 4096,14336");
  return shape;
}

/// The distinct shapes of a model's linears, in order.
std::vector<GemmShape> shapes_of(const std::string& directory) {
  std::vector<GemmShape> shapes;
  for (const LinearSite& site : open_directory(directory).model->sites()) {
    const auto same = [&](const GemmShape& shape) {
      return shape.in == site.in_features && shape.out == site.out_features;
    };
    if (std::none_of(shapes.begin(), shapes.end(), same))
      shapes.push_back({site.in_features, site.out_features});
  }
  return shapes;
}

void run_bench(const BenchArgs& args, CommonArgs& common) {
  apply_common(common);
  catch_interrupts();
  GemmBenchSettings settings;
  if (!args.model.empty()) settings.shapes = shapes_of(args.model);
  for (const std::string& shape : args.shapes)
    settings.shapes.push_back(parse_shape(shape));
  if (settings.shapes.empty())
    throw ConfigError("bench gemm needs shapes", "name a model's directory or --shape K,N");
  settings.rows = args.rows;
  settings.scheme = {4, args.group_size, !args.asymmetric};
  settings.launch = args.launch == "graph" ? Launch::kGraph : Launch::kPlain;
  settings.backends = args.backends;
  settings.backend_settings = parse_settings(args.settings);
  settings.skip_unsupported = args.backends.empty();
  std::vector<std::string> unavailable;
  if (settings.backends.empty())
    for (const std::string& name : backends().names()) {
      if (const auto reason = backends().make(name)->unavailable())
        unavailable.push_back(name + ": " + *reason);
      else
        settings.backends.push_back(name);
    }
  ConsoleProgress progress;
  settings.progress = [&](const std::string& step) {
    poll_interrupts();
    progress.draw(0.0, "measuring " + step);
  };
  progress.begin("measuring", 1, 0);
  GemmBenchResult result = run_gemm_bench(settings);
  result.left_out.insert(result.left_out.begin(), unavailable.begin(), unavailable.end());
  progress.note("measured " + std::to_string(result.timings.size()) + " products");
  print(common.json ? result.to_json().dump(2) + "\n" : args.csv ? result.csv() : result.table());
}

}  // namespace

void add_bench(CLI::App& app, CommonArgs& common) {
  CLI::App* command = app.add_subcommand("bench", "Measure this machine");
  command->require_subcommand(1);
  auto args = std::make_shared<BenchArgs>();
  CLI::App* gemm = command->add_subcommand(
      "gemm",
      "Products by 4-bit weights against the floor and the dense product of the machine or device");
  gemm->add_option("model", args->model, "Directory whose linears give the shapes")
      ->type_name("MODEL");
  gemm->add_option("--shape", args->shapes, "Inputs and outputs of a linear; may be repeated")
      ->type_name("K,N")
      ->delimiter(' ');
  gemm->add_option("--rows", args->rows, "Rows of x")
      ->delimiter(',')
      ->type_name("M,...")
      ->capture_default_str();
  gemm->add_option("--group-size", args->group_size, "Inputs that share a scale; -1: the row")
      ->type_name("N")
      ->capture_default_str();
  gemm->add_flag("--asymmetric", args->asymmetric, "Weights with zero points");
  gemm->add_option("--backend", args->backends, "Which to measure; default: all that run here")
      ->delimiter(',')
      ->type_name("NAME,...");
  gemm->add_option("--set", args->settings, "Option of a backend: NAME.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  gemm->add_option("--launch", args->launch,
                   "How products reach a backend's device: each by itself, or many as a CUDA graph")
      ->check(CLI::IsMember({"plain", "graph"}))
      ->type_name("HOW")
      ->capture_default_str();
  gemm->add_flag("--csv", args->csv, "Print comma-separated values");
  add_common(*gemm, common);
  gemm->callback([args, &common] { run_bench(*args, common); });
}

}  // namespace ptq::cli
