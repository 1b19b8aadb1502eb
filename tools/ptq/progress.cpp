#include "progress.h"

#include <cmath>
#include <cstdio>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "command.h"
#include "ptq/report/table.h"

namespace ptq::cli {
namespace {

constexpr int kBarWidth = 28;

}  // namespace

ConsoleProgress::ConsoleProgress()
    : terminal_(isatty(STDERR_FILENO) == 1 && spdlog::should_log(spdlog::level::info)),
      start_(std::chrono::steady_clock::now()) {}

ConsoleProgress::~ConsoleProgress() {
  clear();
}

void ConsoleProgress::begin(const std::string& what, int64_t steps, int64_t done) {
  what_ = what;
  steps_ = steps;
  before_ = done;
  start_ = std::chrono::steady_clock::now();
  draw(0, "");
}

void ConsoleProgress::step(int64_t done, const std::string& line) {
  // Steps of the run that is resumed say nothing about this one's pace.
  const int64_t own = done - before_;
  const double left =
      own > 0 ? seconds() / static_cast<double>(own) * static_cast<double>(steps_ - done) : -1;
  note(line + " (" + std::to_string(done) + "/" + std::to_string(steps_) +
       (left < 0 ? ")" : ", " + human_seconds(left) + " left)"));
  show(static_cast<double>(done) / static_cast<double>(steps_), left, "");
}

double ConsoleProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ConsoleProgress::draw(double fraction, const std::string& line) {
  show(fraction, fraction > 0 ? seconds() / fraction * (1 - fraction) : -1, line);
}

void ConsoleProgress::show(double fraction, double left, const std::string& line) {
  if (!terminal_) return;
  const int filled = static_cast<int>(std::lround(fraction * kBarWidth));
  std::string text = "\r\033[K" + what_ + " [" + std::string(static_cast<size_t>(filled), '#') +
                     std::string(static_cast<size_t>(kBarWidth - filled), '.') + "] " +
                     fixed(100 * fraction, 0) + " %";
  if (left >= 0) text += ", " + human_seconds(left) + " left";
  if (!line.empty()) text += ", " + line;
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void ConsoleProgress::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ConsoleProgress::note(const std::string& line) {
  clear();
  spdlog::info(line);
}

void ConsoleProgress::warning(const std::string& line) {
  clear();
  spdlog::warn(line);
}

void ConsoleProgress::poll() {
  poll_interrupts();
}

}  // namespace ptq::cli
