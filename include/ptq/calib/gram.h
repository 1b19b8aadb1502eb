#pragma once
#include "ptq/calib/statistic.h"

namespace ptq {

/// Second moment of a stage's input, summed over tokens: float32 [in, in] XᵀX, upper and lower
/// triangle filled by `finish`.  Only one triangle is computed (half of the product).
class Gram : public InputStatistic {
 public:
  explicit Gram(int64_t in_features);
  void add(const at::Tensor& x) override;
  void finish() override;
  int64_t bytes() const override;

  const at::Tensor& sum() const& { return sum_; }
  int64_t tokens() const { return tokens_; }
  /// float64 [in]: the part of the diagonal that comes from position 0 of the sequences (the
  /// attention sink).
  const at::Tensor& first_position_diagonal() const& { return first_diagonal_; }

 private:
  at::Tensor sum_, first_diagonal_;
  int64_t tokens_ = 0;
};

}  // namespace ptq
