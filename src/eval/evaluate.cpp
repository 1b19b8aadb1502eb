#include "ptq/eval/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "hidden_states.h"
#include "ptq/core/error.h"
#include "ptq/model/kernels.h"
#include "ptq/model/lm_head.h"
#include "summary.h"

namespace ptq {
namespace {

/// Adds the seconds it lives to `total`.
class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// One of the models under evaluation.
struct Side {
  const CausalLM* model = nullptr;
  std::string name;         ///< in messages
  double block_work = 0.0;  ///< multiplications for a token in one block
  double head_work = 0.0;   ///< and in the LM head
  std::vector<double>* nll = nullptr;
  double seconds = 0.0;
};

LogitRows rows_of(const at::Tensor& logits) {
  return {logits.data_ptr<float>(), logits.size(0), logits.size(1)};
}

/// One evaluation: the parts of the text one after the other.
class Evaluation {
 public:
  Evaluation(const CausalLM& model, const CausalLM* reference, const WindowPlan& plan,
             const EvalSettings& settings);
  EvalResult run();

 private:
  void check() const;
  size_t part_end(size_t first) const;
  void run_part(size_t first, size_t last);
  void score_batch(const Batch& batch, std::vector<at::Tensor>& hidden, std::vector<LmHead>& heads);
  void check_scored(const Side& side, size_t first, size_t count) const;
  void advance(double work, const std::string& step);

  const WindowPlan& plan_;
  const EvalSettings& settings_;
  std::vector<Side> sides_;
  std::vector<Batch> batches_;
  TokenScores scores_;
  size_t scored_ = 0;  ///< tokens done
  double work_ = 0.0, total_work_ = 0.0;
};

Evaluation::Evaluation(const CausalLM& model, const CausalLM* reference, const WindowPlan& plan,
                       const EvalSettings& settings)
    : plan_(plan), settings_(settings) {
  sides_.push_back({&model, "model", 0.0, 0.0, &scores_.nll, 0.0});
  if (reference != nullptr)
    sides_.push_back({reference, "reference", 0.0, 0.0, &scores_.reference_nll, 0.0});
  check();
  batches_ = make_batches(plan_.windows, settings_.batch_tokens);
  const auto scored = static_cast<size_t>(plan_.scored_tokens());
  for (Side& side : sides_) {
    const ModelConfig& config = side.model->config();
    for (const LinearSite& site : side.model->sites())
      side.block_work += static_cast<double>(site.in_features * site.out_features);
    side.block_work /= static_cast<double>(std::max<int64_t>(1, config.blocks));
    side.head_work = static_cast<double>(config.vocab * config.hidden);
    side.nll->resize(scored);
    total_work_ += side.block_work * static_cast<double>(config.blocks * plan_.tokens()) +
                   side.head_work * static_cast<double>(scored);
  }
  if (reference != nullptr) {
    scores_.kl.resize(scored);
    scores_.same_top1.resize(scored);
  }
}

void Evaluation::check() const {
  if (settings_.batch_tokens < 1 || settings_.head_rows < 1)
    throw ConfigError("batch_tokens is " + std::to_string(settings_.batch_tokens) +
                      " and head_rows " + std::to_string(settings_.head_rows) +
                      ", both must be positive");
  if (plan_.windows.empty()) throw ConfigError("there is no window to evaluate");
  const int64_t vocab = sides_.front().model->config().vocab;
  for (const Side& side : sides_) {
    const ModelConfig& config = side.model->config();
    if (config.vocab != vocab)
      throw ConfigError("the model has " + std::to_string(vocab) + " tokens, the " + side.name +
                            " " + std::to_string(config.vocab),
                        "a KL divergence needs one vocabulary");
    if (config.max_positions > 0 && plan_.seqlen > config.max_positions)
      throw ConfigError("windows of " + std::to_string(plan_.seqlen) + " tokens are longer than " +
                            "the " + std::to_string(config.max_positions) + " positions of the " +
                            side.name,
                        "use --seqlen " + std::to_string(config.max_positions) + " or less");
  }
  for (size_t window = 0; window < plan_.windows.size(); ++window)
    for (const int64_t id : plan_.windows[window].ids)
      if (id < 0 || id >= vocab)
        throw ConfigError("token id " + std::to_string(id) + " in window " +
                              std::to_string(window) + " is outside the model's vocabulary of " +
                              std::to_string(vocab),
                          "the tokenizer or the ids belong to another model");
}

void Evaluation::advance(double work, const std::string& step) {
  work_ += work;
  if (settings_.progress) settings_.progress({std::min(1.0, work_ / total_work_), step});
}

/// The end of the longest run of batches from `first` whose hidden states fit, at least one.
size_t Evaluation::part_end(size_t first) const {
  double bytes = 0.0;
  size_t last = first;
  for (; last < batches_.size(); ++last) {
    for (const Side& side : sides_)
      bytes += static_cast<double>(batches_[last].tokens() * side.model->config().hidden) *
               static_cast<double>(sizeof(float));
    if (last > first && bytes > static_cast<double>(settings_.hidden_state_bytes)) break;
  }
  return last;
}

void Evaluation::check_scored(const Side& side, size_t first, size_t count) const {
  for (size_t i = first; i < first + count; ++i) {
    if (std::isfinite((*side.nll)[i])) continue;
    auto rest = static_cast<int64_t>(i);
    size_t window = 0;
    while (rest >= plan_.windows[window].scored_tokens())
      rest -= plan_.windows[window++].scored_tokens();
    throw NumericalError("the logits of the " + side.name + " are not finite in window " +
                             std::to_string(window) + " at position " +
                             std::to_string(plan_.windows[window].first_scored + rest - 1) +
                             " (final norm and LM head)",
                         "the checkpoint may be damaged; try ptq verify");
  }
}

void Evaluation::score_batch(const Batch& batch, std::vector<at::Tensor>& hidden,
                             std::vector<LmHead>& heads) {
  const ScoredRows scored = scored_rows(plan_.windows, batch);
  for (int64_t first = 0; first < scored.rows.size(0); first += settings_.head_rows) {
    const int64_t count = std::min(settings_.head_rows, scored.rows.size(0) - first);
    const at::Tensor rows = scored.rows.narrow(0, first, count);
    std::vector<at::Tensor> logits;
    for (size_t i = 0; i < sides_.size(); ++i) {
      {
        const Stopwatch watch(sides_[i].seconds);
        const at::Tensor scored_states = hidden[i].index_select(0, rows.to(hidden[i].device()));
        // Scores come from one implementation, whatever the device.
        logits.push_back(heads[i].logits(scored_states).cpu());
        nll_rows(rows_of(logits[i]), scored.targets.data_ptr<int64_t>() + first,
                 sides_[i].nll->data() + scored_);
      }
      check_scored(sides_[i], scored_, static_cast<size_t>(count));
      advance(sides_[i].head_work * static_cast<double>(count), "LM head");
    }
    if (sides_.size() == 2)
      kl_rows(rows_of(logits[1]), rows_of(logits[0]), scores_.kl.data() + scored_,
              scores_.same_top1.data() + scored_);
    scored_ += static_cast<size_t>(count);
  }
}

void Evaluation::run_part(size_t first, size_t last) {
  const std::vector<Batch> part(batches_.begin() + static_cast<std::ptrdiff_t>(first),
                                batches_.begin() + static_cast<std::ptrdiff_t>(last));
  std::vector<HiddenStates> states;
  for (Side& side : sides_) {
    const Stopwatch watch(side.seconds);
    states.emplace_back(*side.model, plan_.windows, part, side.name);
    const std::string prefix = side.name == "model" ? "block " : side.name + " block ";
    const std::string suffix = " of " + std::to_string(side.model->config().blocks);
    states.back().run([&](int64_t block, const Batch& batch) {
      advance(side.block_work * static_cast<double>(batch.tokens()),
              prefix + std::to_string(block + 1) + suffix);
    });
  }
  std::vector<LmHead> heads;
  for (const Side& side : sides_)
    heads.emplace_back(*side.model, settings_.head_rows, settings_.head_weight_bytes);
  for (size_t i = 0; i < part.size(); ++i) {
    std::vector<at::Tensor> hidden;
    for (HiddenStates& state : states)
      hidden.push_back(state.take(i));
    score_batch(part[i], hidden, heads);
  }
}

EvalResult Evaluation::run() {
  const at::NoGradGuard no_grad;
  EvalResult result;
  {
    const Stopwatch watch(result.seconds);
    for (size_t first = 0; first < batches_.size();) {
      const size_t last = part_end(first);
      run_part(first, last);
      first = last;
    }
  }
  result.model = summarize_perplexity(plan_, scores_.nll);
  result.model.seconds = sides_.front().seconds;
  if (sides_.size() == 2) {
    result.reference = summarize_perplexity(plan_, scores_.reference_nll);
    result.reference->seconds = sides_.back().seconds;
    result.kl = summarize_kl(plan_, scores_);
  }
  result.windows_sha256 = plan_.sha256();
  result.tokens = plan_.tokens();
  return result;
}

}  // namespace

EvalResult evaluate(const CausalLM& model, const CausalLM* reference, const WindowPlan& plan,
                    const EvalSettings& settings) {
  return Evaluation(model, reference, plan, settings).run();
}

}  // namespace ptq
