#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "ptq/core/options.h"
#include "ptq/pipeline/job.h"

namespace ptq::cli {

/// What every command shares.
struct CommonArgs {
  int threads = 0;  ///< 0: all cores
  std::string device = "cpu";
  bool json = false;
  std::string log_level = "info";
  std::string command_line;  ///< as typed
};

/// Adds --threads, --device, --json, --log-level and --config to `command`.
void add_common(CLI::App& command, CommonArgs& args);

/// Sets the log level and the number of threads.  Throws UnsupportedError for another device than
/// the CPU unless the command takes it `on_device`.
void apply_common(CommonArgs& args, bool on_device = false);

// One per command: declares its options and runs it as the subcommand's callback.
void add_quantize(CLI::App& app, CommonArgs& common);
void add_calibrate(CLI::App& app, CommonArgs& common);
void add_stats(CLI::App& app, CommonArgs& common);
void add_sensitivity(CLI::App& app, CommonArgs& common);
void add_plan(CLI::App& app, CommonArgs& common);
void add_eval(CLI::App& app, CommonArgs& common);
void add_compare(CLI::App& app, CommonArgs& common);
void add_export(CLI::App& app, CommonArgs& common);
void add_bench(CLI::App& app, CommonArgs& common);
void add_inspect(CLI::App& app, CommonArgs& common);
void add_verify(CLI::App& app, CommonArgs& common);
void add_list(CLI::App& app, CommonArgs& common);

/// "512", "100M", "1.5G", "4GiB" (1024-based), "120MB" (1000-based) as bytes.  Throws ConfigError
/// otherwise.
int64_t parse_bytes(const std::string& text);

/// "NAME.key=value" settings as {"NAME": {"key": value}}; a value is JSON where it parses as such,
/// else a string. Throws ConfigError for another form or a key given twice.
Json parse_settings(const std::vector<std::string>& settings);

/// The arguments with the entries of `--config FILE` put in front as flags.  What was typed wins:
/// an entry is left out if its option, in any spelling, or one that excludes it was typed.  Throws
/// ConfigError for a file that cannot be read, is no JSON object, or holds a key the command does
/// not know, a value of the wrong kind, or two options that exclude each other.
std::vector<std::string> expand_config(const std::vector<std::string>& args, const CLI::App& app);

/// Prints `text` to stdout at once; throws ResourceError if that fails (a full disk, a closed
/// pipe).
void print(const std::string& text);

/// Makes SIGINT and SIGTERM set a flag instead of ending the process; a second one ends it.
void catch_interrupts();
/// Throws InterruptedError once the flag is set.
void poll_interrupts();

}  // namespace ptq::cli
