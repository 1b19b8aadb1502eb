#pragma once
#include <utility>

#include <ATen/ATen.h>

#include "ptq/calib/collector.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq {

/// A linear with its calibration inputs, ready to be quantized.
class TestSite {
 public:
  /// `weight`: float32 [out, in]; `inputs`: float32 [sequences, seq, in], and those of the
  /// full-precision model where they are others.  Gradients, where they are needed, are noise.
  TestSite(at::Tensor weight, const at::Tensor& inputs, const Quantizer& quantizer,
           const at::Tensor& reference = {})
      : weight_(std::move(weight)) {
    site_.name = "model.layers.0.mlp.down_proj";
    site_.out_features = weight_.size(0);
    site_.in_features = weight_.size(1);
    const StatisticSet statistics(quantizer.statistics());
    Collector collector(statistics);
    at::Tensor gradients;
    if (statistics.needs_gradients()) {
      const int64_t sequences = inputs.size(0), seq = inputs.size(1);
      // The same for every site of this shape, whatever was drawn before.
      gradients = at::arange(sequences * seq * site_.out_features, at::kDouble).square().sin();
      gradients = gradients.to(at::kFloat).view({sequences, seq, site_.out_features});
    }
    collector.add(site_, {inputs, gradients, reference.defined() ? reference : inputs});
    collector.finish();
    stats_ = collector.stats(site_);
  }

  SiteView view(at::ScalarType model_dtype = at::kFloat) const {
    return {site_, weight_, stats_, model_dtype};
  }
  const SiteStats& stats() const& { return stats_; }
  LinearSite& site() & { return site_; }

 private:
  LinearSite site_;
  at::Tensor weight_;
  SiteStats stats_;
};

/// float32 [sequences, seq, in] whose features are strongly correlated and of unlike sizes, as
/// those of a language model are.
inline at::Tensor correlated_inputs(int64_t sequences, int64_t seq, int64_t in) {
  const at::Tensor mixing = at::eye(in) + at::randn({in, in}) * (2.0 / std::sqrt(double(in)));
  const at::Tensor sizes = at::exp(at::randn({in}));
  return at::matmul(at::randn({sequences, seq, in}), mixing) * sizes;
}

/// ‖(Ŵ − W) Xᵀ‖² / ‖W Xᵀ‖² in float64.
inline double output_error(const QuantizedTensor& quantized, const at::Tensor& weight,
                           const at::Tensor& inputs) {
  const at::Tensor x = inputs.reshape({-1, weight.size(1)}).to(at::kDouble);
  const at::Tensor w = weight.to(at::kDouble);
  const at::Tensor miss = quantized.dequantize().to(at::kDouble) - w;
  return at::matmul(x, miss.t()).square().sum().item<double>() /
         at::matmul(x, w.t()).square().sum().item<double>();
}

}  // namespace ptq
