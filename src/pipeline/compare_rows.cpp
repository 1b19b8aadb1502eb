#include "compare_rows.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <set>

#include "gradient_statistics.h"
#include "ptq/calib/store.h"
#include "ptq/pipeline/model_method.h"

namespace ptq::detail {
namespace {

void check_label(const std::string& label, const std::string& text) {
  const bool plain = std::all_of(label.begin(), label.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
  if (label.empty() || !plain)
    throw ConfigError("the label of --methods " + text + " is not made of letters, digits, - and _",
                      "it names a directory and what --set LABEL.key=value means");
}

/// How the method of a row comes by its statistics.
struct Reading {
  GradientStatistics stored;  ///< what it reads of a store
  bool whole_model = false;   ///< it is a ModelMethod, which collects these without a store
};

Reading reading_of(const CompareRow& row) {
  QuantizeJob job;
  job.method = row.method;
  job.plugin_options[row.method] = row.options;
  if (const auto method = model_method_of(job))
    return {{method->stored_statistics(job), false}, true};
  return {gradient_statistics(*quantizers().make(row.method, row.options)), false};
}

/// Whether the method of `row` reads a store, which then must have what it reads.
bool check_store(const CompareJob& job, const CompareRow& row) {
  const Reading reading = reading_of(row);
  const std::vector<std::string>& names = reading.stored.names;
  if (names.empty()) return false;
  if (!job.stats.empty())
    StatsStore::open(job.stats).require(names);
  else if (!reading.whole_model)
    throw ConfigError("--methods " + row.label + ": with these options it reads " + names.front() +
                          " from a store of statistics",
                      "collect it with ptq calibrate and name the store with --stats DIR");
  return true;
}

void check_schemes(const std::vector<QuantScheme>& schemes) {
  for (auto scheme = schemes.begin(); scheme != schemes.end(); ++scheme) {
    scheme->check();
    if (std::find(schemes.begin(), scheme, *scheme) != scheme)
      throw ConfigError("--schemes " + scheme->name() + " is given twice");
  }
}

}  // namespace

std::vector<CompareRow> make_rows(const CompareJob& job) {
  std::vector<CompareRow> rows;
  std::set<std::string> labels;
  bool reads_store = false;
  for (const std::string& text : job.methods) {
    const size_t equals = text.find('=');
    CompareRow row;
    row.label = text.substr(0, equals);
    row.method = equals == std::string::npos ? text : text.substr(equals + 1);
    check_label(row.label, text);
    if (!labels.insert(row.label).second)
      throw ConfigError("--methods " + row.label + " is given twice",
                        "give one a label of its own: label=" + row.method);
    row.options = job.plugin_options.value(row.label, Json::object());
    reads_store = check_store(job, row) || reads_store;
    for (const QuantScheme& scheme : job.schemes) {
      row.scheme = scheme;
      rows.push_back(row);
    }
  }
  check_schemes(job.schemes);
  if (!job.stats.empty() && !reads_store)
    throw ConfigError("--stats: no method here reads a store",
                      "leave it out; they read the calibration data");
  if (rows.empty()) throw ConfigError("nothing to compare", "--methods and --schemes name it");
  for (const auto& item : job.plugin_options.items())
    if (!labels.count(item.key()))
      throw ConfigError("--set " + item.key() + ".…: no method has that label", "see --methods");
  return rows;
}

QuantizeJob quantize_job(const CompareJob& job, const CompareRow& row,
                         const std::filesystem::path& out) {
  QuantizeJob quantize;
  quantize.model = job.model;
  quantize.out = out;
  quantize.method = row.method;
  quantize.format = job.format;
  quantize.plan.scheme = row.scheme;
  quantize.plan.skip = job.skip;
  quantize.plan.overrides = job.overrides;
  quantize.plan.odd_shape = job.odd_shape;
  if (!row.options.empty()) quantize.plugin_options[row.method] = row.options;
  quantize.calibration = job.calibration;
  const Reading reading = reading_of(row);
  reading.stored.read_from(job.stats, quantize);
  quantize.memory_limit_bytes = job.memory_limit_bytes;
  // A fallback is a figure of the comparison, not its end.
  quantize.max_fallbacks = std::numeric_limits<int>::max();
  quantize.measure_outputs = !reading.whole_model && !reading.stored.in_place;
  quantize.threads = job.threads;
  quantize.device = job.device;
  quantize.command = job.command;
  return quantize;
}

}  // namespace ptq::detail
