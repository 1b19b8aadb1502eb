#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "ptq/io/checkpoint.h"

namespace ptq::detail {

/// What a store of statistics belongs to: the digests of the model's and the tokenizer's files, by
/// topic and file name.  `poll` is called while they are read and may throw to stop.
Json input_identity(const Checkpoint& checkpoint, const std::filesystem::path& model,
                    const std::function<void()>& poll);

/// The digest of token ids, int64; "" for none.
std::string token_digest(const at::Tensor& tokens);

}  // namespace ptq::detail
