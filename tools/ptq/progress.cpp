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

void ConsoleProgress::begin(const std::string& what, int64_t steps) {
  what_ = what;
  steps_ = steps;
  start_ = std::chrono::steady_clock::now();
  draw(0, "");
}

void ConsoleProgress::step(int64_t done, const std::string& line) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double left = seconds / static_cast<double>(done) * static_cast<double>(steps_ - done);
  note(line + " (" + std::to_string(done) + "/" + std::to_string(steps_) + ", " +
       human_seconds(left) + " left)");
  draw(static_cast<double>(done) / static_cast<double>(steps_), "");
}

void ConsoleProgress::draw(double fraction, const std::string& line) {
  if (!terminal_) return;
  const int filled = static_cast<int>(std::lround(fraction * kBarWidth));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string text = "\r\033[K" + what_ + " [" + std::string(static_cast<size_t>(filled), '#') +
                     std::string(static_cast<size_t>(kBarWidth - filled), '.') + "] " +
                     fixed(100 * fraction, 0) + " %";
  if (fraction > 0) text += ", " + human_seconds(seconds / fraction * (1 - fraction)) + " left";
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
