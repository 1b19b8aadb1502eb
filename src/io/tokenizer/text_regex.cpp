#include "text_regex.h"

#include <array>
#include <new>

// The header demands it: which of its three libraries is meant.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "ptq/core/error.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

std::string message_of(int code) {
  std::array<unsigned char, 256> text{};
  const int length = pcre2_get_error_message(code, text.data(), text.size());
  return length < 0 ? "error " + std::to_string(code)
                    : std::string(text.begin(), text.begin() + length);
}

}  // namespace

void Regex::FreeCode::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free(code);
}

void Matches::FreeData::operator()(pcre2_real_match_data_8* data) const {
  pcre2_match_data_free(data);
}

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  const std::string translated = pcre_syntax(pattern);
  // Ruby's ^ and $ always match at lines.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t at = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                            options, &error, &at, context.get()));
  if (!code_) {
    throw UnsupportedError("regular expression \"" + pattern +
                           "\" is not supported: " + message_of(error));
  }
  jit_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
}

Matches::Matches(const Regex& regex, std::string_view text)
    : regex_(regex),
      text_(text),
      data_(pcre2_match_data_create_from_pattern(regex.code_.get(), nullptr)) {
  if (!data_) throw std::bad_alloc();
}

int Matches::find() {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const pcre2_code* code = regex_.code_.get();
  if (regex_.jit_) {
    const int result = pcre2_jit_match(code, subject, text_.size(), from_, 0, data_.get(), nullptr);
    // The interpreter keeps its backtracking on the heap, the compiled code on a 32 KiB stack.
    if (result != PCRE2_ERROR_JIT_STACKLIMIT) return result;
  }
  return pcre2_match(code, subject, text_.size(), from_, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                     data_.get(), nullptr);
}

bool Matches::next(Span& match) {
  while (from_ < text_.size()) {
    const int result = find();
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) {
      throw UnsupportedError("regular expression \"" + regex_.pattern() +
                             "\" fails on this text: " + message_of(result));
    }
    const size_t* offsets = pcre2_get_ovector_pointer(data_.get());
    match = {offsets[0], offsets[1]};
    if (match.begin < match.end) {
      from_ = match.end;
      return true;
    }
    if (match.begin >= text_.size()) break;
    from_ = match.begin + decode_char(text_, match.begin).bytes;
  }
  from_ = text_.size();
  return false;
}

}  // namespace ptq::tokenizer
