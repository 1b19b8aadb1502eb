#pragma once
#include <cstddef>

namespace ptq::tokenizer {

/// What the module ptq_sentencepiece offers, in C: its libraries are in a symbol scope of their
/// own, so no C++ object may pass between it and the program.
struct SentencePieceApi {
  /// Receives ids or bytes; `context` is the caller's.
  using TakeIds = void (*)(void* context, const int* ids, size_t count);
  using TakeText = void (*)(void* context, const char* text, size_t size);

  /// A processor of a serialized model; null, after a call of `fault`, if it is none.
  void* (*open)(const char* model, size_t size, TakeText fault, void* context);
  void (*close)(void* processor);
  /// Encodes valid UTF-8; false, after a call of `fault`, if that fails.
  bool (*encode)(const void* processor, const char* text, size_t size, TakeIds take, TakeText fault,
                 void* context);
  int (*size)(const void* processor);
  /// The id of a piece, that of the unknown piece if there is none.
  int (*find)(const void* processor, const char* piece, size_t size);
  void (*piece)(const void* processor, int id, TakeText take, void* context);
  bool (*is_control)(const void* processor, int id);
  /// The ids of these pieces; -1 if the model has none.
  int (*bos)(const void* processor);
  int (*eos)(const void* processor);
  int (*unk)(const void* processor);
};

/// The name under which the module exports its SentencePieceApi.
inline constexpr char kSentencePieceSymbol[] = "ptq_sentencepiece";

}  // namespace ptq::tokenizer
