#include "contract/quantizer_contract.h"

#include <cmath>
#include <exception>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "quantizers/site_fixture.h"
#include "support/allocation_meter.h"

namespace ptq {
namespace {

class Contract {
 public:
  Contract(const Quantizer& quantizer, const QuantScheme& scheme)
      : quantizer_(quantizer), scheme_(scheme) {}

  std::vector<std::string> check() {
    at::manual_seed(20);
    const at::Tensor weight = at::randn({24, kIn}), inputs = correlated_inputs(4, 64, kIn);
    is_valid_and_repeatable(weight, inputs);
    is_no_worse_than_rounding(weight, inputs);
    keeps_what_lies_on_the_grid(inputs);
    stays_within_its_workspace(inputs);
    bears_a_dead_channel(weight, inputs.clone());
    return broken_;
  }

 private:
  static constexpr int64_t kIn = 96;

  void expect(bool holds, const std::string& promise) {
    if (!holds) broken_.push_back(scheme_.name() + ": " + promise);
  }

  static const at::Tensor& values(const QuantizedTensor& weight) {
    return weight.scheme.lookup ? weight.table : weight.scale;
  }

  QuantizedSite run(const at::Tensor& weight, const at::Tensor& inputs) {
    const TestSite site(weight, inputs, quantizer_);
    return quantizer_.quantize(site.view(), scheme_);
  }

  void is_valid_and_repeatable(const at::Tensor& weight, const at::Tensor& inputs) {
    const at::Tensor before = weight.clone();
    const QuantizedSite first = run(weight, inputs), second = run(weight, inputs);
    try {
      first.weight.check();
    } catch (const std::exception& error) {
      expect(false, std::string("check() passes: ") + error.what());
    }
    bool same = at::equal(first.weight.q, second.weight.q) &&
                at::equal(values(first.weight), values(second.weight));
    if (!scheme_.lookup) same = same && at::equal(first.weight.zero, second.weight.zero);
    expect(same, "the same inputs give the same bytes");
    expect(at::equal(before, weight), "the weight it is given is left alone");
    expect(first.weight.scheme == scheme_, "the scheme is the one asked for");
    expect(std::isfinite(first.relative_error) && first.relative_error >= 0,
           "the error is a number");
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const TestSite site(weight, inputs, quantizer_);
      const at::Tensor made = values(quantizer_.quantize(site.view(dtype), scheme_).weight);
      expect(made.isfinite().all().item<bool>() &&
                 at::equal(made,
                           scheme_.lookup ? storable_entries(made) : storable_scale(made, dtype)),
             "scales are what files hold");
    }
  }

  void is_no_worse_than_rounding(const at::Tensor& weight, const at::Tensor& inputs) {
    const auto rtn = quantizers().make("rtn");
    const TestSite site(weight, inputs, *rtn);
    QuantScheme grid = scheme_;
    grid.lookup = false;
    const double rounding = output_error(rtn->quantize(site.view(), grid).weight, weight, inputs);
    expect(output_error(run(weight, inputs).weight, weight, inputs) <= rounding,
           "outputs are no worse than rounding to nearest");
  }

  void keeps_what_lies_on_the_grid(const at::Tensor& inputs) {
    const int64_t groups = scheme_.groups(kIn), length = scheme_.group_length(kIn);
    const int levels = 1 << scheme_.bits;
    QuantizedTensor made;
    made.scheme = scheme_;
    made.group_of = contiguous_groups(scheme_, kIn);
    made.q = at::randint(0, levels, {24, kIn}).to(at::kByte);
    for (int64_t g = 0; g < groups; ++g) {  // both ends of the range occur
      made.q.select(1, g * length).fill_(0);
      made.q.select(1, g * length + 1).fill_(levels - 1);
    }
    if (scheme_.lookup) {
      made.table = storable_entries(std::get<0>(at::randn({24, levels}).sort(1)));
    } else {
      made.scale = storable_scale(at::rand({24, groups}) + 0.5, at::kBFloat16);
      made.zero = at::full({24, groups}, levels / 2, at::kByte);
      if (scheme_.symmetric) made.scale.select(0, 0).neg_();
    }
    const at::Tensor weight = made.dequantize();
    expect(at::equal(run(weight, inputs).weight.dequantize(), weight),
           "a weight on a full-range grid or a table comes back exactly");
  }

  void stays_within_its_workspace(const at::Tensor& inputs) {
    const at::Tensor weight = at::randn({2 * kIn, kIn});
    const TestSite site(weight, inputs, quantizer_);
    const test::AllocationMeter meter;
    const QuantizedTensor made = quantizer_.quantize(site.view(), scheme_).weight;
    int64_t result = 0;
    for (const at::Tensor& part : {made.q, made.scale, made.zero, made.group_of, made.table})
      if (part.defined()) result += static_cast<int64_t>(part.nbytes());
    // Some vectors of doubles, and scales before and after they are rounded.
    const int64_t vectors = 8 * 8 * 3 * kIn + static_cast<int64_t>(2 * values(made).nbytes());
    expect(meter.peak_bytes() <= quantizer_.workspace_bytes(site.view().site) + result + vectors,
           "no more memory than workspace_bytes() is taken");
  }

  void bears_a_dead_channel(const at::Tensor& weight, const at::Tensor& inputs) {
    inputs.select(-1, 11).zero_();
    const QuantizedSite result = run(weight, inputs);
    expect(result.weight.dequantize().isfinite().all().item<bool>(),
           "a dead input channel gives no NaN");
    expect(result.fallbacks.empty(), "a dead input channel needs no fallback");
  }

  const Quantizer& quantizer_;
  QuantScheme scheme_;
  std::vector<std::string> broken_;
};

std::vector<QuantScheme> schemes() {
  std::vector<QuantScheme> all;
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {16, 48, -1})
      for (const bool symmetric : {true, false})
        all.push_back({bits, group, symmetric});
    all.push_back({bits, -1, true, true});
  }
  return all;
}

}  // namespace

std::vector<std::string> broken_promises(const Quantizer& quantizer) {
  std::vector<std::string> broken;
  bool makes_any = false;
  for (const QuantScheme& scheme : schemes()) {
    if (quantizer.unsupported(scheme)) continue;
    makes_any = true;
    const auto found = Contract(quantizer, scheme).check();
    broken.insert(broken.end(), found.begin(), found.end());
  }
  if (!makes_any) broken.push_back("some scheme is made");
  if (quantizer.unsupported({4, 36, true})) return broken;
  const TestSite site(at::randn({8, 96}), at::randn({1, 100, 96}), quantizer);
  try {
    quantizer.quantize(site.view(), {4, 36, true});
    broken.push_back("a group size that does not divide the input is refused");
  } catch (const UnsupportedError&) {
  }
  return broken;
}

}  // namespace ptq
