#pragma once
#include <chrono>
#include <string>

#include "ptq/pipeline/job.h"

namespace ptq::cli {

/// Progress on stderr: one line that is redrawn with a bar and the time left on a terminal, a plain
/// line a step elsewhere.
class ConsoleProgress : public ProgressListener {
 public:
  ConsoleProgress();
  ~ConsoleProgress() override;
  ConsoleProgress(const ConsoleProgress&) = delete;
  ConsoleProgress& operator=(const ConsoleProgress&) = delete;

  void begin(const std::string& what, int64_t steps, int64_t done) override;
  void step(int64_t done, const std::string& line) override;
  void note(const std::string& line) override;
  void warning(const std::string& line) override;
  void poll() override;
  /// Redraws the bar at `fraction` (0 … 1) of the work; nothing elsewhere than on a terminal.
  void draw(double fraction, const std::string& line);

 private:
  double seconds() const;  ///< since `begin`
  void show(double fraction, double left, const std::string& line);
  void clear();

  bool terminal_;
  bool drawn_ = false;
  int64_t steps_ = 0;
  int64_t before_ = 0;  ///< steps that an interrupted run had done
  std::string what_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace ptq::cli
