#include "ptq/quant/sparse_places.h"

#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq {
namespace {

at::Tensor places(const std::vector<int64_t>& list) {
  return at::tensor(list, at::kLong);
}

/// `sparse` in a matrix of zeros.
at::Tensor dense(const SparseWeight& sparse, int64_t out, int64_t in) {
  sparse.check(out, in);
  at::Tensor all = at::zeros({out * in});
  all.index_put_({places_of(sparse, in)}, sparse.values);
  return all.view({out, in});
}

TEST(SparsePlaces, AreWhatTheValuesWereTakenFrom) {
  const at::Tensor weight = at::arange(1, 13, at::kFloat).view({3, 4});
  for (const std::vector<int64_t>& list :
       {std::vector<int64_t>{}, {0}, {11}, {3, 4}, {0, 1, 2, 3, 8, 11}, {4, 5, 6, 7}}) {
    const SparseWeight sparse = sparse_at(weight, places(list));
    EXPECT_TRUE(places_of(sparse, 4).equal(places(list)));
    at::Tensor kept = at::zeros({12});
    kept.index_put_({places(list)}, weight.view({-1}).index_select(0, places(list)));
    EXPECT_TRUE(dense(sparse, 3, 4).equal(kept.view({3, 4})));
  }
}

TEST(SparsePlaces, MustRiseWithinTheMatrix) {
  const at::Tensor weight = at::ones({3, 4});
  for (const std::vector<int64_t>& list : {std::vector<int64_t>{2, 1}, {1, 1}, {-1}, {12}})
    EXPECT_THROW(sparse_at(weight, places(list)), std::logic_error);
}

TEST(SparsePlaces, OfTwoTheUpperWinsWhereBothStand) {
  const at::Tensor low = at::full({2, 3}, 1.0F), high = at::full({2, 3}, 2.0F);
  const SparseWeight both =
      merged(sparse_at(low, places({0, 2, 5})), sparse_at(high, places({2, 3})), 3);
  EXPECT_TRUE(
      dense(both, 2, 3).equal(at::tensor({1.0F, 0.0F, 2.0F, 2.0F, 0.0F, 1.0F}).view({2, 3})));
}

TEST(SparsePlaces, WithNothingAreThoseOfTheOther) {
  const SparseWeight one = sparse_at(at::ones({2, 3}), places({1, 4}));
  EXPECT_TRUE(dense(merged(one, {}, 3), 2, 3).equal(dense(one, 2, 3)));
  EXPECT_TRUE(dense(merged({}, one, 3), 2, 3).equal(dense(one, 2, 3)));
}

}  // namespace
}  // namespace ptq
