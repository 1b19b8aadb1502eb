#pragma once
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace ptq {

/// Base of every error this library reports: what is wrong, where, the limit, and a hint what to
/// do.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = "")
      : std::runtime_error(message), hint_(std::move(hint)) {}
  /// What the command line program returns (docs/cli.md).
  virtual int exit_code() const noexcept { return 1; }
  const std::string& hint() const& { return hint_; }

 private:
  std::string hint_;
};

/// The user's options or configuration are wrong.
class ConfigError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 2; }
};
/// A file breaks its format.
class FormatError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 3; }
};
/// Valid, but not done by this plug-in, format, engine or machine.
class UnsupportedError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 4; }
};
/// A non-finite value, a failed factorization, too many fallbacks.
class NumericalError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 5; }
};
/// A quality gate that a run was asked to check did not hold.
class GateError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 6; }
};
/// Disk or memory does not suffice.
class ResourceError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 7; }
};
/// The user interrupted the run (SIGINT, SIGTERM); what was finished can be resumed.
class InterruptedError : public Error {
 public:
  using Error::Error;
  int exit_code() const noexcept override { return 130; }
};

/// A step of the story told when an error escapes: "while quantizing model.layers.3.mlp.down_proj".
class Context : public Error {
 public:
  using Error::Error;
};

/// Runs `body`; whatever it throws is rethrown nested under a `Context` "while `step`".
template <class Body>
decltype(auto) with_context(const std::string& step, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    std::throw_with_nested(Context("while " + step));
  }
}

/// "error: " and the message of the innermost error, one "  while …" line per context, innermost
/// first, and a "hint: …" line where the error has one; no newline at the end.
std::string describe(const std::exception& error);

/// Whether the same input would meet `error` again: it is malformed, not supported, or numerical.
/// All else (an interruption, a full disk, a lost mount) may be gone when a run is resumed.
bool would_come_again(const std::exception& error) noexcept;

/// The exit code of the innermost error: `Error::exit_code`, 7 for std::bad_alloc and a full disk,
/// 2 for another std::filesystem::filesystem_error, else 1.
int exit_code_of(const std::exception& error) noexcept;

}  // namespace ptq
