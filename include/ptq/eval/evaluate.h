#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/eval/windows.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

/// A model's perplexity on the windows of a WindowPlan.
struct PerplexityResult {
  std::string protocol;  ///< no figure means anything without it
  int64_t seqlen = 0, stride = 0, windows = 0, scored_tokens = 0;
  double mean_nll_nats = 0.0;  ///< over all scored tokens
  double perplexity = 0.0;     ///< exp(mean_nll_nats)
  /// Of the perplexity: exp(mean) times that of the mean, from the windows' means (weighted by
  /// their targets), or for "llama.cpp" from the tokens, as that program does; NaN for one window.
  double standard_error = 0.0;
  std::vector<double> window_nll;             ///< mean of each window, nats per scored token
  std::vector<int64_t> window_scored_tokens;  ///< targets of each window
  double seconds = 0.0;                       ///< spent in this model
  Json to_json() const;
};

/// How far a model's next-token distributions are from a reference's, over all scored tokens.
struct KlResult {
  int64_t tokens = 0;
  double mean_nats = 0.0;       ///< mean of KL(reference ‖ model), exact over the vocabulary
  double standard_error = 0.0;  ///< of the mean, as in PerplexityResult
  std::vector<std::pair<double, double>> quantiles;  ///< (percent of tokens, nats)
  double top1_agreement = 0.0;  ///< share of tokens where both have the same most likely token
  double mean_delta_p = 0.0;    ///< mean of p(target) under the model minus under the reference
  double rms_delta_p = 0.0;     ///< root of the mean square of the same
  double mean_delta_nll_nats = 0.0;       ///< ln(perplexity of model / perplexity of reference)
  double delta_nll_standard_error = 0.0;  ///< of that mean; the pairing removes the text's spread
  Json to_json() const;
};

/// What evaluate() found.
struct EvalResult {
  PerplexityResult model;
  std::optional<PerplexityResult> reference;
  std::optional<KlResult> kl;  ///< with a reference
  std::string windows_sha256;  ///< WindowPlan::sha256
  int64_t tokens = 0;          ///< fed to each model
  double seconds = 0.0;        ///< wall time of everything
  Json to_json() const;
};

/// How far an evaluation is.
struct EvalProgress {
  double fraction = 0.0;  ///< of the multiplications
  std::string step;       ///< "block 3 of 30", "reference block 3 of 30", "LM head"
};

/// How evaluate() walks; no setting changes a figure beyond rounding.
struct EvalSettings {
  int64_t batch_tokens = 2048;  ///< that go through a block together (at least one window)
  int64_t head_rows = 512;      ///< tokens whose logits are in memory at a time
  /// A float16 LM head is held as float32 up to this size, else converted in slices of it.
  int64_t head_weight_bytes = int64_t{512} << 20;
  /// For the hidden states of both models; a longer text is done in parts, each of which loads
  /// every block again.
  int64_t hidden_state_bytes = int64_t{1} << 30;
  /// Called between batches; may throw to stop.
  std::function<void(const EvalProgress&)> progress;
};

/// Perplexity of `model` on `plan`, and with a `reference` (may be null) its perplexity and the
/// exact KL divergence of every token, both models in lock-step, nothing stored.  One block of each
/// model in memory at a time.  Throws ConfigError if a window is longer than a model's positions,
/// an id is outside a vocabulary, the vocabularies differ or a setting is not positive;
/// NumericalError naming window, position and block where a value is not finite.
EvalResult evaluate(const CausalLM& model, const CausalLM* reference, const WindowPlan& plan,
                    const EvalSettings& settings);

}  // namespace ptq
