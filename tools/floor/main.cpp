// Measures the machine's float32 matrix product rate and counts the floating point operations that
// a model's forward pass, Gram products and evaluation need: what scripts/bench.sh holds the tool
// against.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <set>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "ptq/core/options.h"
#include "ptq/formats/open.h"

namespace {

constexpr int64_t kSize = 2048;
constexpr int kRepeats = 8;

/// The median rate of [2048, 2048] float32 products, in operations per second.
double sgemm_rate() {
  const at::Tensor a = at::randn({kSize, kSize});
  const at::Tensor b = at::randn({kSize, kSize});
  at::Tensor c = at::mm(a, b);
  std::vector<double> rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(c, a, b);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    rates.push_back(2.0 * kSize * kSize * kSize / seconds.count());
  }
  std::nth_element(rates.begin(), rates.begin() + kRepeats / 2, rates.end());
  return rates[kRepeats / 2];
}

/// Operations a token: every linear once, and causal attention (scores and mixing) over half of the
/// window.
double forward_flops(const ptq::CausalLM& model, int64_t seqlen) {
  double flops = 0;
  for (const ptq::LinearSite& site : model.sites())
    flops += 2.0 * static_cast<double>(site.out_features * site.in_features);
  const ptq::ModelConfig& config = model.config();
  return flops + static_cast<double>(config.blocks * config.heads * config.head_dim) * 4.0 *
                     (static_cast<double>(seqlen) + 1) / 2;
}

/// Operations a token of half of the symmetric Gram product of every distinct input.
double gram_flops(const ptq::CausalLM& model) {
  std::set<std::string> seen;
  double flops = 0;
  for (const ptq::LinearSite& site : model.sites())
    if (seen.insert(site.input).second)
      flops += static_cast<double>(site.in_features * site.in_features);
  return flops;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Matrix product rate of this machine and operation counts of a model", "ptq_floor");
  std::string directory;
  int64_t tokens = 32768;
  int64_t seqlen = 512;
  int64_t eval_seqlen = 2048;
  app.add_option("model", directory)->required();
  app.add_option("--tokens", tokens);
  app.add_option("--seqlen", seqlen);
  app.add_option("--eval-seqlen", eval_seqlen);
  CLI11_PARSE(app, argc, argv);
  try {
    at::set_num_threads(static_cast<int>(std::thread::hardware_concurrency()));
    const ptq::OpenedModel opened = ptq::open_directory(directory);
    const ptq::CausalLM& model = *opened.model;
    const auto count = static_cast<double>(tokens);
    const double head = 2.0 * static_cast<double>(model.config().vocab * model.config().hidden);
    const ptq::Json json = {{"threads", at::get_num_threads()},
                            {"sgemm_gflops", sgemm_rate() / 1e9},
                            {"forward_flops", count * forward_flops(model, seqlen)},
                            {"gram_flops", count * gram_flops(model)},
                            {"eval_flops_per_token", forward_flops(model, eval_seqlen) + head}};
    std::cout << json.dump(2) << "\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << ptq::describe(error) << "\n";
    return ptq::exit_code_of(error);
  }
}
