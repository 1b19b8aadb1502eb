#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "contract/backend_contract.h"

namespace ptq {
namespace {

TEST(Reference, TakesEverySchemeAndCountsItsMemory) {
  const auto reference = backends().make("reference");
  for (int bits = 2; bits <= 8; ++bits)
    EXPECT_FALSE(reference->unsupported({{bits, 48, false}, 3, 96, true, true}).has_value());
  const BackendCase made{{3, 32, true}, 8, 64, false, false, false};
  EXPECT_EQ(reference->pack(random_weight(made), nullptr)->bytes(), 8 * 64 + 8 * 2 * 5 + 64 * 4);
}

TEST(Reference, MultipliesBySparseValuesInPlaceOfCodes) {
  QuantizedTensor weight;
  weight.scheme = {2, 2, false};
  weight.q = at::tensor({0, 1, 2, 3}, at::kByte).view({1, 4});
  weight.scale = at::tensor({0.5F, -2.0F}).view({1, 2});
  weight.zero = at::tensor({1, 2}, at::kByte).view({1, 2});
  weight.group_of = at::tensor({0, 1, 0, 1}, at::kInt);
  SparseWeight sparse;
  sparse.row_begin = at::tensor({0, 1}, at::kInt);
  sparse.columns = at::tensor({2}, at::kInt);
  sparse.values = at::tensor({100.0F});
  const at::Tensor y = at::empty({1, 1});
  backends()
      .make("reference")
      ->pack(weight, &sparse)
      ->multiply(at::tensor({1.F, 2.F, 3.F, 4.F}).view({1, 4}), y);
  // -0.5 * 1 + 2 * 2 + 100 * 3 - 2 * 4
  EXPECT_EQ(y.item<float>(), 295.5F);
}

}  // namespace
}  // namespace ptq
