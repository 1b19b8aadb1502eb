#include "ptq/core/error.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <new>
#include <vector>

#include "ptq/core/system_error.h"

namespace ptq {
namespace {

/// Calls `visit` for the error and everything nested in it, outermost first.
void walk(const std::exception& error, const std::function<void(const std::exception&)>& visit) {
  visit(error);
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    walk(inner, visit);
  } catch (...) {
    // Not an exception of ours or the standard library's: nothing to tell.
  }
}

/// LibTorch's allocator reports in words what the standard library has a type for.
bool is_out_of_memory(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         std::strstr(error.what(), "can't allocate memory") != nullptr ||
         std::strstr(error.what(), "not enough memory") != nullptr;
}

/// A place that cannot be written to is the user's to change, a full disk a lack of resources.
int exit_code_of(const std::filesystem::filesystem_error& error) {
  const std::error_category& of = error.code().category();
  const bool system = of == std::generic_category() || of == std::system_category();
  return system && is_lack_of_resources(error.code().value()) ? ResourceError("").exit_code()
                                                              : ConfigError("").exit_code();
}

int own_exit_code(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->exit_code();
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return exit_code_of(*file);
  return is_out_of_memory(error) ? ResourceError("").exit_code() : 1;
}

}  // namespace

bool is_lack_of_resources(int error) noexcept {
  return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO || error == ENOMEM;
}

std::string describe(const std::exception& error) {
  std::vector<std::string> steps;
  std::string message;
  std::string hint;
  walk(error, [&](const std::exception& one) {
    if (dynamic_cast<const Context*>(&one)) {
      steps.emplace_back(one.what());
    } else {
      message = one.what();
      const auto* ours = dynamic_cast<const Error*>(&one);
      hint = ours ? ours->hint() : "";
    }
  });
  std::string text = "error: " + message;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    text += "\n  " + *step;
  if (!hint.empty()) text += "\nhint: " + hint;
  return text;
}

int exit_code_of(const std::exception& error) noexcept {
  int code = 1;
  walk(error, [&](const std::exception& one) {
    if (dynamic_cast<const Context*>(&one)) return;
    code = own_exit_code(one);
  });
  return code;
}

bool would_come_again(const std::exception& error) noexcept {
  const int code = exit_code_of(error);
  return code >= FormatError("").exit_code() && code <= NumericalError("").exit_code();
}

}  // namespace ptq
