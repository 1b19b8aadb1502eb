#include "bpe_text_model.h"

namespace ptq::tokenizer {

void BpeTextModel::encode(std::string text, bool starts_input, std::vector<int64_t>& out) const {
  const size_t size = text.size();
  Pieces pieces{std::move(text), {{0, size}}, starts_input};
  if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  WordCache own;
  WordCache& cache = lock ? cache_ : own;
  for (size_t i = 0; i < pieces.spans.size(); ++i)
    bpe_.encode(pieces[i], cache, out);
}

}  // namespace ptq::tokenizer
