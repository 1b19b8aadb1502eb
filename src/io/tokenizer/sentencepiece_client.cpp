#include "sentencepiece_client.h"

#include <utility>

#include <dlfcn.h>

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

const SentencePieceApi& open_library() {
  // AddressSanitizer ends a program that asks for RTLD_DEEPBIND.
  if (PTQ_ADDRESS_SANITIZER)
    throw UnsupportedError("tokenizer.model cannot be read in a build with AddressSanitizer");
  // PTQ_SENTENCEPIECE_PATHS: beside the program (dlopen knows $ORIGIN), then where it is installed.
  for (const char* path : {PTQ_SENTENCEPIECE_PATHS}) {
    void* library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) continue;
    const void* symbol = ::dlsym(library, kSentencePieceSymbol);
    if (symbol != nullptr) return *static_cast<const SentencePieceApi*>(symbol);
  }
  const char* fault = ::dlerror();
  throw UnsupportedError(
      std::string("tokenizer.model needs the module ptq_sentencepiece: ") +
          (fault == nullptr ? "it lacks its symbol" : fault),
      "install it beside the program, or make a tokenizer.json with transformers");
}

/// Never closed: a library with thread-local state cannot be unloaded safely.
const SentencePieceApi& library() {
  static const SentencePieceApi& api = open_library();
  return api;
}

/// Where the module's answers go.
struct Answer {
  std::string text;
  std::vector<int> ids;
};

void take_text(void* answer, const char* text, size_t size) {
  static_cast<Answer*>(answer)->text.assign(text, size);
}

void take_ids(void* answer, const int* ids, size_t count) {
  static_cast<Answer*>(answer)->ids.assign(ids, ids + count);
}
}  // namespace

Processor::Processor(const std::string& model, const std::string& file)
    : file_(file), api_(library()), processor_(nullptr, api_.close) {
  Answer answer;
  processor_.reset(api_.open(model.data(), model.size(), take_text, &answer));
  if (processor_ == nullptr)
    throw FormatError(file + ": is not a SentencePiece model: " + answer.text);
}

std::string Processor::piece(int id) const {
  Answer answer;
  api_.piece(processor_.get(), id, take_text, &answer);
  return answer.text;
}

std::vector<int> Processor::encode(std::string_view text) const {
  Answer answer;
  if (!api_.encode(processor_.get(), text.data(), text.size(), take_ids, take_text, &answer))
    throw FormatError(file_ + ": cannot encode: " + answer.text);
  return std::move(answer.ids);
}

}  // namespace ptq::tokenizer
