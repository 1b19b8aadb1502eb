#include "recorded.h"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ptq/model/linear.h"
#include "ptq/model/matmul.h"
#include "row_ops.h"

namespace ptq {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using Gradients = torch::autograd::variable_list;

/// A tensor that may be undefined, which autograd does not take as an input.
struct Constant {
  at::Tensor tensor;
};

struct AffineFunction : Function<AffineFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const Constant& bias) {
    context->save_for_backward({weight});
    return affine(x, weight, bias.tensor);
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    return {input_gradient(context, gradients[0]), {}, {}};
  }
  static at::Tensor input_gradient(AutogradContext* context, const at::Tensor& gradient) {
    const at::Tensor weight = context->get_saved_variables()[0];
    std::vector<int64_t> sizes = gradient.sizes().vec();
    sizes.back() = weight.size(1);
    return matrix_product(gradient.reshape({-1, weight.size(0)}), weight).view(sizes);
  }
};

struct AffineGradientFunction : Function<AffineGradientFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({weight});
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes.back() = weight.size(0);
    return at::zeros(sizes, x.options());
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    return {AffineFunction::input_gradient(context, gradients[0]), {}};
  }
};

struct NormFunction : Function<NormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gain,
                            double epsilon) {
    const at::Tensor rows = x.contiguous();
    context->save_for_backward({rows, gain});
    context->saved_data["epsilon"] = epsilon;
    return rms_norm(rows, gain, epsilon);
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    const auto saved = context->get_saved_variables();
    return {rms_norm_gradient(saved[0], saved[1], context->saved_data["epsilon"].toDouble(),
                              gradients[0]),
            {},
            {}};
  }
};

struct SiluMulFunction : Function<SiluMulFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return silu_mul(gate.clone(), up);
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    const auto saved = context->get_saved_variables();
    auto [gate, up] = silu_mul_gradient(saved[0].contiguous(), saved[1].contiguous(), gradients[0]);
    return {gate, up};
  }
};

struct RotateFunction : Function<RotateFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x.clone(), cos, sin);
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    const auto saved = context->get_saved_variables();
    // The inverse rotation is the transposed one.
    return {rotate(gradients[0].clone(), saved[0], saved[1].neg()), {}, {}};
  }
};

struct AttentionFunction : Function<AttentionFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const std::vector<int64_t>& shape) {
    context->save_for_backward({q, k, v});
    context->saved_data["shape"] = shape;
    return causal_attention(q.clone(), k, v, shape_of(shape));
  }
  static Gradients backward(AutogradContext* context, const Gradients& gradients) {
    const auto saved = context->get_saved_variables();
    const AttentionShape shape = shape_of(context->saved_data["shape"].toIntVector());
    const AttentionGradient result = attention_gradient(
        saved[0].contiguous(), saved[1].contiguous(), saved[2].contiguous(), gradients[0], shape);
    return {result.q, result.k, result.v, {}};
  }
  static AttentionShape shape_of(const std::vector<int64_t>& numbers) {
    return {numbers[0], numbers[1], numbers[2], numbers[3]};
  }
};

bool plain(const at::Tensor& x) {
  return !x.defined() || (x.is_cpu() && x.scalar_type() == at::kFloat);
}

}  // namespace

bool kernels_can_record(std::initializer_list<at::Tensor> inputs,
                        std::initializer_list<at::Tensor> constants) {
  const auto needs = [](const at::Tensor& x) { return x.defined() && x.requires_grad(); };
  return at::GradMode::is_enabled() && std::all_of(inputs.begin(), inputs.end(), plain) &&
         std::all_of(constants.begin(), constants.end(), plain) &&
         std::any_of(inputs.begin(), inputs.end(), needs) &&
         std::none_of(constants.begin(), constants.end(), needs);
}

at::Tensor recorded_affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return AffineFunction::apply(x, weight, Constant{bias});
}

at::Tensor recorded_affine_gradient(const at::Tensor& x, const at::Tensor& weight) {
  return AffineGradientFunction::apply(x, weight);
}

at::Tensor recorded_rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  return NormFunction::apply(x, gain, epsilon);
}

at::Tensor recorded_silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  return SiluMulFunction::apply(gate, up);
}

at::Tensor recorded_rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return RotateFunction::apply(x, cos, sin);
}

at::Tensor recorded_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const AttentionShape& shape) {
  return AttentionFunction::apply(
      q, k, v, std::vector<int64_t>{shape.heads, shape.kv_heads, shape.head_dim, shape.window});
}

}  // namespace ptq
