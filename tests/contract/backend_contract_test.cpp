#include "contract/backend_contract.h"

#include <functional>
#include <map>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(BackendContract, EveryExactBackendKeepsIt) {
  for (const std::string& name : backends().names()) {
    const auto backend = backends().make(name);
    if (backend->unavailable() || !backend->exact()) continue;
    EXPECT_THAT(broken_promises(*backend, backend_cases()), IsEmpty()) << name;
  }
}

TEST(BackendContract, EveryRoundingBackendKeepsItIfPossible) {
  std::string missing;
  int held = 0;
  for (const std::string& name : backends().names()) {
    const auto backend = backends().make(name);
    if (backend->exact()) continue;
    if (const auto reason = backend->unavailable()) {
      missing += name + ": " + *reason;
      continue;
    }
    EXPECT_THAT(broken_rounding_promises(*backend, backend_cases()), IsEmpty()) << name;
    ++held;
  }
  if (held == 0) GTEST_SKIP() << missing;
}

using Product = std::function<void(const PackedWeight&, const at::Tensor&, const at::Tensor&)>;

class BrokenWeight : public PackedWeight {
 public:
  BrokenWeight(std::unique_ptr<PackedWeight> right, const Product& product)
      : right_(std::move(right)), product_(product) {}
  void multiply(const at::Tensor& x, const at::Tensor& y) const override {
    product_(*right_, x, y);
  }
  int64_t bytes() const override { return right_->bytes(); }

 private:
  std::unique_ptr<PackedWeight> right_;
  Product product_;
};

/// The reference, with a product that is wrong in one way.
class Broken : public GemmBackend {
 public:
  Broken(Product product, bool drops_values = false)
      : product_(std::move(product)), drops_values_(drops_values) {}
  std::optional<std::string> unsupported(const WeightShape& weight) const override {
    return right_->unsupported(weight);
  }
  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                     const SparseWeight* sparse) const override {
    return std::make_unique<BrokenWeight>(right_->pack(weight, drops_values_ ? nullptr : sparse),
                                          product_);
  }
  int priority() const override { return 0; }

 private:
  std::unique_ptr<GemmBackend> right_ = backends().make("reference");
  Product product_;
  bool drops_values_;
};

void right(const PackedWeight& weight, const at::Tensor& x, const at::Tensor& y) {
  weight.multiply(x, y);
}

TEST(BackendContract, RejectsABackendThatIsWrong) {
  const std::map<std::string, Product> wrong = {
      {"bit for bit",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x, y);
         y.mul_(1 + 0x1p-23F);
       }},
      {"within the bound",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x.to(at::kHalf).to(at::kFloat), y);
       }},
      {"does not depend on the batch",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x, y);
         if (x.size(0) == 13) y.select(1, 0).mul_(1 + 0x1p-23F);
       }},
      {"not finite is passed on",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x.nan_to_num(0, 0, 0), y);
       }},
      {"stays in its row",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x, y);
         if (!x.isfinite().all().item<bool>()) y.fill_(NAN);
       }},
      {"beside the result",
       [](const PackedWeight& w, const at::Tensor& x, const at::Tensor& y) {
         w.multiply(x, y);
         if (y.stride(0) > y.size(1)) y.data_ptr<float>()[y.size(1)] = 0;
       }},
  };
  const std::vector<BackendCase> few = {{{4, 32, true}, 24, 96, false, true, false}};
  for (const auto& [promise, product] : wrong)
    EXPECT_THAT(broken_promises(Broken(product), few), Contains(HasSubstr(promise)));
  EXPECT_THAT(broken_promises(Broken(right, true), few),
              Contains(HasSubstr("sparse: unit vectors")));
  EXPECT_THAT(broken_promises(Broken(right), few), IsEmpty());
}

/// A weight and activations rounded to bfloat16, and a product that may be wrong.
class Rounding : public GemmBackend {
 public:
  using DenseProduct = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& w)>;
  explicit Rounding(DenseProduct product) : product_(std::move(product)) {}
  std::optional<std::string> unsupported(const WeightShape& weight) const override {
    if (weight.scheme.bits != 4) return "not 4 bits";
    return std::nullopt;
  }
  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                     const SparseWeight* sparse) const override {
    if (unsupported(shape_of(weight, sparse))) throw UnsupportedError("not 4 bits");
    const at::Tensor& scale = weight.scale;
    if (!scale.equal(storable_scale(scale, at::kHalf))) throw UnsupportedError("long scales");
    const at::Tensor dense = dense_weight(weight, sparse == nullptr ? SparseWeight{} : *sparse);
    const auto product = [this, dense](const PackedWeight&, const at::Tensor& x,
                                       const at::Tensor& y) {
      const at::Tensor w = dense.to(at::kBFloat16).to(at::kFloat);
      y.copy_(product_(x.to(at::kBFloat16).to(at::kFloat), w));
    };
    return std::make_unique<BrokenWeight>(backends().make("reference")->pack(weight, sparse),
                                          product);
  }
  bool exact() const override { return false; }
  int priority() const override { return 0; }

 private:
  DenseProduct product_;
};

TEST(BackendContract, RejectsARoundingBackendThatIsWrong) {
  const auto right = [](const at::Tensor& x, const at::Tensor& w) { return x.mm(w.t()); };
  const std::map<std::string, Rounding::DenseProduct> wrong = {
      {"give the rounded weight",
       [&](const at::Tensor& x, const at::Tensor& w) { return right(x, w) * (1 + 0x1p-8F); }},
      {"within the bound",
       [&](const at::Tensor& x, const at::Tensor& w) { return right(x, w).to(at::kBFloat16); }},
      {"not finite is passed on",
       [&](const at::Tensor& x, const at::Tensor& w) { return right(x.nan_to_num(0, 0, 0), w); }},
      {"stays in its row",
       [&](const at::Tensor& x, const at::Tensor& w) {
         const at::Tensor y = right(x, w);
         return x.isfinite().all().item<bool>() ? y : at::full_like(y, NAN);
       }},
  };
  const std::vector<BackendCase> few = {{{4, 32, true}, 24, 96, false, true, false},
                                        {{4, 32, true}, 24, 96, false, false, true},
                                        {{3, 32, true}, 24, 96, false, false, false}};
  for (const auto& [promise, product] : wrong)
    EXPECT_THAT(broken_rounding_promises(Rounding(product), few), Contains(HasSubstr(promise)));
  EXPECT_THAT(broken_rounding_promises(Rounding(right), few), IsEmpty());
}

}  // namespace
}  // namespace ptq
