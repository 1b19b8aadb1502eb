#include "window_options.h"

#include "ptq/io/dataset.h"
#include "ptq/io/tokenizer.h"

namespace ptq::cli {

void WindowArgs::declare(CLI::App& command, const std::string& prefix) {
  command.add_option("--text", text, "Text to evaluate on, UTF-8")->type_name("FILE");
  command.add_option("--tokens", tokens, "Rows of token ids instead, [[id, ...], ...]")
      ->type_name("FILE");
  command
      .add_option("--protocol", request.protocol, "How the text is cut: gptq, llama.cpp or sliding")
      ->check(CLI::IsMember({"gptq", "llama.cpp", "sliding"}))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option(prefix + "seqlen", request.seqlen, "Tokens a window")
      ->type_name("N")
      ->capture_default_str();
  command.add_option(prefix + "stride", request.stride, "Step of the sliding protocol")
      ->type_name("N")
      ->capture_default_str();
  command.add_option(prefix + "windows", request.windows, "The first so many windows; -1: all")
      ->type_name("N")
      ->capture_default_str();
}

WindowPlan WindowArgs::plan(const std::filesystem::path& model, const ModelConfig& config) const {
  if (text.empty() == tokens.empty())
    throw ConfigError("evaluation needs a text or token ids, one of them",
                      "--text FILE or --tokens FILE.json");
  if (!tokens.empty())
    return windows_of_rows(load_token_rows(tokens, config.vocab), request.windows);
  const auto tokenizer = Tokenizer::open(model);
  return make_windows(load_tokens_text(text, *tokenizer, config.vocab), request, tokenizer->bos());
}

}  // namespace ptq::cli
