#include <iostream>

#include <malloc.h>

#include "command.h"
#include "ptq/core/version.h"

namespace {

std::string joined(const std::vector<std::string>& args) {
  std::string text = "ptq";
  for (const std::string& arg : args)
    text += " " + arg;
  return text;
}

/// Lets the allocator keep what is freed for the next request, up to a bound.  Sweeps make and free
/// tensors of some megabytes without end; given back to the system each time, their fresh pages
/// cost a tenth of a reverse sweep.
void keep_freed_memory() {
  constexpr int kLargestKept = 32 << 20;  // glibc allows no more; larger ones are mapped alone
  constexpr int kMostKept = 256 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kLargestKept);
  ::mallopt(M_TRIM_THRESHOLD, kMostKept);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  CLI::App app("Post-training quantization of LLM checkpoints", "ptq");
  app.set_version_flag("--version", ptq::version());
  app.require_subcommand(1);
  ptq::cli::CommonArgs common;
  ptq::cli::add_quantize(app, common);
  ptq::cli::add_calibrate(app, common);
  ptq::cli::add_stats(app, common);
  ptq::cli::add_sensitivity(app, common);
  ptq::cli::add_plan(app, common);
  ptq::cli::add_eval(app, common);
  ptq::cli::add_compare(app, common);
  ptq::cli::add_export(app, common);
  ptq::cli::add_bench(app, common);
  ptq::cli::add_inspect(app, common);
  ptq::cli::add_verify(app, common);
  ptq::cli::add_list(app, common);
  try {
    std::vector<std::string> args(argv + 1, argv + argc);
    common.command_line = joined(args);
    args = ptq::cli::expand_config(args, app);
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 takes them
    app.parse(reversed);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : ptq::ConfigError("").exit_code();
  } catch (const std::exception& error) {
    std::cerr << ptq::describe(error) << "\n";
    return ptq::exit_code_of(error);
  }
}
