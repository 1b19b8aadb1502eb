#include <memory>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

#include "sentencepiece_api.h"

namespace ptq::tokenizer {
namespace {
using sentencepiece::SentencePieceProcessor;

const SentencePieceProcessor& processor_of(const void* processor) {
  return *static_cast<const SentencePieceProcessor*>(processor);
}

void* open(const char* model, size_t size, SentencePieceApi::TakeText fault, void* context) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto({model, size});
  if (status.ok()) return processor.release();
  const std::string text = status.ToString();
  fault(context, text.data(), text.size());
  return nullptr;
}

void close(void* processor) {
  const std::unique_ptr<SentencePieceProcessor> owner(
      static_cast<SentencePieceProcessor*>(processor));
}

bool encode(const void* processor, const char* text, size_t size, SentencePieceApi::TakeIds take,
            SentencePieceApi::TakeText fault, void* context) {
  std::vector<int> ids;
  const auto status = processor_of(processor).Encode({text, size}, &ids);
  if (status.ok()) {
    take(context, ids.data(), ids.size());
    return true;
  }
  const std::string message = status.ToString();
  fault(context, message.data(), message.size());
  return false;
}

int size(const void* processor) {
  return processor_of(processor).GetPieceSize();
}

int find(const void* processor, const char* piece, size_t length) {
  return processor_of(processor).PieceToId({piece, length});
}

void piece(const void* processor, int id, SentencePieceApi::TakeText take, void* context) {
  const std::string& text = processor_of(processor).IdToPiece(id);
  take(context, text.data(), text.size());
}

bool is_control(const void* processor, int id) {
  return processor_of(processor).IsControl(id);
}
int bos(const void* processor) {
  return processor_of(processor).bos_id();
}
int eos(const void* processor) {
  return processor_of(processor).eos_id();
}
int unk(const void* processor) {
  return processor_of(processor).unk_id();
}
}  // namespace
}  // namespace ptq::tokenizer

// C linkage, so that dlsym finds it; const objects are local unless declared extern.
extern "C" {
extern const ptq::tokenizer::SentencePieceApi ptq_sentencepiece;
const ptq::tokenizer::SentencePieceApi ptq_sentencepiece = {
    ptq::tokenizer::open, ptq::tokenizer::close, ptq::tokenizer::encode,     ptq::tokenizer::size,
    ptq::tokenizer::find, ptq::tokenizer::piece, ptq::tokenizer::is_control, ptq::tokenizer::bos,
    ptq::tokenizer::eos,  ptq::tokenizer::unk};
}
