#pragma once
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/quant/quantized_tensor.h"

namespace ptq::quantizer {

/// How far a step goes.
struct RoundingStep {
  double codes = 0;   ///< in code units
  double scales = 0;  ///< relative to the scale a group started with
};

/// What of past gradients decides a step's direction.
enum class Optimizer {
  kSign,  ///< the sign of the last one alone
  kAdam,  ///< running mean over running root mean square (Kingma and Ba, arXiv:1412.6980)
};

/// The rounding of one linear as something to learn (SignRound, arXiv:2309.05516): every weight has
/// a place t in code units and stands for ŵ = s·(q − z) with q = t rounded and kept in range; every
/// group's s a factor.  Gradients go through the rounding as if it were not there.
class LearnedRounding {
 public:
  /// Begins at the codes and scales of `start`; at the place of `weight`, float32
  /// [out, in] on the CPU, or where a code's cell lets it be nearest to that.  `stored`: the
  /// checkpoint's dtype, for the scales.
  LearnedRounding(const QuantizedTensor& start, const at::Tensor& weight, at::ScalarType stored,
                  Optimizer optimizer);

  /// ŵ, float32 [out, in], with scales as files hold them.
  at::Tensor weight() const { return current_.dequantize(); }
  const QuantizedTensor& quantized() const& { return current_; }

  /// Moves against `gradient`, float32 [out, in]: that of the loss by ŵ.  Where it is and always
  /// was 0 nothing moves.
  void step(const at::Tensor& gradient, const RoundingStep& size);

 private:
  /// Numbers that are learned, and what of their gradients is remembered: kAdam's running means.
  struct Learned {
    at::Tensor value, mean, square;  ///< float32 of one shape; the last two undefined for kSign
  };
  struct Row;

  static Learned learned(const at::Tensor& value, Optimizer optimizer);
  Row row_of(const Learned& learned, int64_t row) const;
  void step_row(int64_t row, const float* gradient, const RoundingStep& size,
                std::vector<double>& sums);

  QuantizedTensor current_;  ///< its codes and scales are this object's own
  Learned place_;            ///< [out, in]: t
  Learned factor_;           ///< [out, groups]: of the scales
  at::Tensor start_scale_;   ///< float32 [out, groups]
  at::ScalarType stored_;
  int steps_ = 0;
};

}  // namespace ptq::quantizer
