#include <array>
#include <csignal>
#include <cstdio>
#include <map>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "command.h"
#include "ptq/model/device.h"

namespace ptq::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_signal(int signal) {
  if (interrupted) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  interrupted = 1;
}

}  // namespace

void add_common(CLI::App& command, CommonArgs& args) {
  command.add_option("--config", "JSON object of this command's options; flags override it")
      ->type_name("FILE");
  command.add_option("--threads", args.threads, "Processor threads; 0: all cores")
      ->check(CLI::Range(0, 4096))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--device", args.device, "Where to compute: cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_flag("--json", args.json, "Print the result as one JSON object on stdout");
  command
      .add_option("--log-level", args.log_level,
                  "What goes to stderr: debug, info, warn, error or off")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}))
      ->type_name("LEVEL")
      ->capture_default_str();
}

void apply_common(CommonArgs& args, bool on_device) {
  auto logger = spdlog::stderr_color_st("ptq");
  logger->set_pattern("%^%l%$: %v");
  logger->set_level(spdlog::level::from_str(args.log_level));
  spdlog::set_default_logger(logger);
  if (args.device != "cpu" && !on_device)
    throw UnsupportedError("--device " + args.device + ": this command computes on the CPU only",
                           "leave --device out");
  open_device(args.device);
  if (args.threads == 0)
    args.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  // Debian's LibTorch starts with one thread.
  at::set_num_threads(args.threads);
}

int64_t parse_bytes(const std::string& text) {
  size_t used = 0;
  double number = -1;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  static const std::map<std::string, double> kUnits{
      {"", 1},       {"B", 1},        {"K", 0x1p10},   {"KiB", 0x1p10}, {"KB", 1e3},
      {"M", 0x1p20}, {"MiB", 0x1p20}, {"MB", 1e6},     {"G", 0x1p30},   {"GiB", 0x1p30},
      {"GB", 1e9},   {"T", 0x1p40},   {"TiB", 0x1p40}, {"TB", 1e12}};
  const auto factor = kUnits.find(unit);
  const double bytes = factor == kUnits.end() ? 0 : number * factor->second;
  if (used == 0 || !(bytes > 0) || bytes > 1e18)
    throw ConfigError("\"" + text + "\" is not a size", "write 512M, 1.5G, 4GiB, 120MB or bytes");
  return static_cast<int64_t>(bytes);
}

Json parse_settings(const std::vector<std::string>& settings) {
  Json result = Json::object();
  for (const std::string& setting : settings) {
    const size_t dot = setting.find('.');
    const size_t equals = setting.find('=');
    if (dot == std::string::npos || equals == std::string::npos || dot == 0 || equals < dot + 2)
      throw ConfigError("--set \"" + setting + "\" is not NAME.key=value",
                        "for example --set gptq.damping=0.05");
    const std::string key = setting.substr(dot + 1, equals - dot - 1);
    const std::string value = setting.substr(equals + 1);
    Json& plugin = result[setting.substr(0, dot)];
    if (plugin.contains(key))
      throw ConfigError("--set " + setting.substr(0, equals) + " is given twice");
    Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    plugin[key] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return result;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw ResourceError("standard output cannot be written");
}

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // A closed terminal, but not where it was to be ignored, as under nohup.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

void poll_interrupts() {
  if (interrupted) throw InterruptedError("interrupted");
}

}  // namespace ptq::cli
