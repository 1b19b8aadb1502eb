#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "contract/backend_contract.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

/// What is promised of a product of activations and a weight that are rounded to 16 bits.
class RoundingContract {
 public:
  RoundingContract(const BackendCase& made, std::unique_ptr<PackedWeight> packed, at::Tensor dense)
      : made_(made), packed_(std::move(packed)), dense_(std::move(dense)) {}

  std::vector<std::string> check() {
    if (!find_number()) return broken_;
    const at::Tensor x = at::randn({70, made_.in}).to(number_).to(at::kFloat);
    is_within_the_bound(x);
    rounds_activations(x);
    passes_on_what_is_not_finite(x);
    keeps_to_its_buffer(x);
    multiply(at::empty({0, made_.in}));
    expect(packed_->bytes() * 2 >= made_.out * made_.in * made_.scheme.bits / 8,
           "it tells its memory");
    return broken_;
  }

 private:
  void expect(bool holds, const std::string& promise) {
    if (!holds) broken_.push_back(made_.name() + ": " + promise);
  }

  at::Tensor multiply(const at::Tensor& x) const {
    at::Tensor y = at::full({x.size(0), made_.out}, NAN);
    packed_->multiply(x, y);
    return y;
  }

  /// Unit vectors give the weight rounded to one of the formats: which, is for the backend to say.
  bool find_number() {
    const at::Tensor units = at::eye(made_.in);
    for (const at::ScalarType number : {at::kHalf, at::kBFloat16}) {
      const at::Tensor expected = dense_.to(number).to(at::kFloat).t();
      if (!at::equal(multiply(units), expected)) continue;
      number_ = number;
      dense_ = expected.t().contiguous();
      for (const int64_t rows : {1, 9})
        for (int64_t row = 0; row + rows <= made_.in; row += rows + made_.in / 5)
          expect(at::equal(multiply(units.narrow(0, row, rows)), expected.narrow(0, row, rows)),
                 std::to_string(rows) + " unit vectors give the rounded weight");
      return true;
    }
    expect(false, "unit vectors give the rounded weight");
    return false;
  }

  void is_within_the_bound(const at::Tensor& x) {
    const at::Tensor x64 = x.to(at::kDouble), w64 = dense_.to(at::kDouble);
    for (const int64_t rows : {1, 8, 17, 70}) {
      const at::Tensor some = x64.narrow(0, 0, rows);
      const at::Tensor error =
          (multiply(x.narrow(0, 0, rows)).to(at::kDouble) - some.mm(w64.t())).abs();
      // Terms of a sum: padded inputs, at most one split and one piece of sparse values for each 64
      // of them, and each addition may lose a unit of the last place (docs/numerics.md).
      const auto terms = static_cast<double>((made_.in + 63) / 64 * 66);
      const at::Tensor bound = some.abs().mm(w64.abs().t()) * (terms + 2) * 0x1p-23;
      expect(error.le(bound).all().item<bool>(), "errors are within the bound of 16-bit products");
    }
  }

  void rounds_activations(const at::Tensor& x) {
    const at::Tensor between = x.narrow(0, 0, 5) * (1 + 0x1p-13F);  // nearest: x itself
    expect(at::equal(multiply(between), multiply(x.narrow(0, 0, 5))),
           "activations are rounded to 16 bits");
  }

  void passes_on_what_is_not_finite(const at::Tensor& x) {
    for (const int64_t rows : {3, 20})
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        at::Tensor damaged = x.narrow(0, 0, rows).clone();
        damaged[1][made_.in / 2] = bad;
        const at::Tensor y = multiply(damaged), whole = multiply(x.narrow(0, 0, rows));
        expect(!y[1].isfinite().any().item<bool>(), "what is not finite is passed on");
        expect(at::equal(y[0], whole[0]) && at::equal(y.slice(0, 2), whole.slice(0, 2)),
               "what is not finite stays in its row");
      }
  }

  void keeps_to_its_buffer(const at::Tensor& x) {
    for (const int64_t rows : {4, 20}) {
      const at::Tensor wide = at::full({rows, made_.out + 9}, 7.0F);
      const at::Tensor padded = at::full({rows, made_.in + 5}, NAN);
      padded.narrow(1, 2, made_.in).copy_(x.narrow(0, 0, rows));
      packed_->multiply(padded.narrow(1, 2, made_.in), wide.narrow(1, 4, made_.out));
      expect(at::equal(wide.narrow(1, 4, made_.out), multiply(x.narrow(0, 0, rows))),
             "rows may lie apart");
      expect(wide.narrow(1, 0, 4).eq(7).all().item<bool>() &&
                 wide.narrow(1, made_.out + 4, 5).eq(7).all().item<bool>(),
             "nothing is written beside the result");
    }
  }

  BackendCase made_;
  std::unique_ptr<PackedWeight> packed_;
  at::Tensor dense_;  ///< rounded once its format is known
  at::ScalarType number_ = at::kHalf;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_rounding_promises(const GemmBackend& backend,
                                                  const std::vector<BackendCase>& cases) {
  at::manual_seed(52);
  std::vector<std::string> broken;
  int taken = 0;
  for (const BackendCase& made : cases)
    for (const at::ScalarType scales : {at::kHalf, at::kBFloat16}) {
      QuantizedTensor weight = random_weight(made);
      if (!made.long_scales && !made.scheme.lookup)
        weight.scale = storable_scale(weight.scale, scales);
      const SparseWeight sparse = random_values(made);
      const WeightShape shape{made.scheme, made.out, made.in, made.permuted, made.sparse};
      const bool refused = made.long_scales || backend.unsupported(shape).has_value();
      try {
        auto packed = backend.pack(weight, made.sparse ? &sparse : nullptr);
        if (refused) broken.push_back(made.name() + ": what is not supported is refused");
        if (refused) continue;
        ++taken;
        RoundingContract contract(made, std::move(packed), dense_weight(weight, sparse));
        const auto found = contract.check();
        broken.insert(broken.end(), found.begin(), found.end());
      } catch (const UnsupportedError& error) {
        if (!refused) broken.push_back(made.name() + ": is supported, but " + error.what());
      }
    }
  if (taken == 0) broken.push_back("some weight is supported");
  return broken;
}

}  // namespace ptq
