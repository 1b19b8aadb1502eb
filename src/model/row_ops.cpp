#include "row_ops.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "recorded.h"

namespace ptq {
namespace {

constexpr int64_t kTaskFloats = 64 << 10;  // a task's data stays in the L2 cache

/// Runs `body(first row, rows)` on all threads for rows of `width` floats.
template <class Body>
void parallel_rows(int64_t rows, int64_t width, const Body& body) {
  const int64_t share = std::max(kTaskFloats / std::max(width, int64_t{1}), int64_t{1});
  parallel_tasks((rows + share - 1) / share,
                 [&](int64_t i) { body(i * share, std::min(share, rows - i * share)); });
}

at::Tensor plain_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  const at::Tensor mean = x.to(at::kDouble).square().mean(-1, /*keepdim=*/true) + epsilon;
  return x * mean.rsqrt().to(x.scalar_type()) * gain;
}

void norm_rows(const at::Tensor& x, const at::Tensor& gain, double epsilon, at::Tensor& y) {
  const int64_t width = gain.numel();
  const float* from = x.data_ptr<float>();
  float* to = y.data_ptr<float>();
  parallel_rows(x.numel() / width, width, [&](int64_t first, int64_t rows) {
    kernels::table().rms_norm(from + first * width, gain.data_ptr<float>(),
                              static_cast<float>(epsilon), rows, width, to + first * width);
  });
}

}  // namespace

bool needs_record(std::initializer_list<at::Tensor> inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor& x) {
    return x.defined() && ((at::GradMode::is_enabled() && x.requires_grad()) || !x.is_cpu() ||
                           x.scalar_type() != at::kFloat);
  });
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  if (kernels_can_record({x}, {gain})) return recorded_rms_norm(x, gain, epsilon);
  if (needs_record({x, gain})) return plain_norm(x, gain, epsilon);
  const at::Tensor rows = x.contiguous();
  at::Tensor y = at::empty_like(rows);
  norm_rows(rows, gain, epsilon, y);
  return y;
}

at::Tensor rms_norm_heads(at::Tensor x, const at::Tensor& gain, double epsilon) {
  if (needs_record({x, gain})) {
    const at::Tensor heads = x.reshape({x.size(0), x.size(1), -1, gain.numel()});
    return rms_norm(heads, gain, epsilon).reshape(x.sizes());
  }
  x = x.contiguous();
  norm_rows(x, gain, epsilon, x);
  return x;
}

at::Tensor silu_mul(at::Tensor gate, const at::Tensor& up) {
  if (kernels_can_record({gate, up}, {})) return recorded_silu_mul(gate, up);
  if (needs_record({gate, up})) return at::silu(gate) * up;
  gate = gate.contiguous();
  const at::Tensor factor = up.contiguous();
  float* g = gate.data_ptr<float>();
  const float* u = factor.data_ptr<float>();
  parallel_rows(gate.numel(), 1, [&](int64_t first, int64_t count) {
    kernels::table().silu_mul(g + first, u + first, count);
  });
  return gate;
}

at::Tensor add_residual(const at::Tensor& residual, at::Tensor update) {
  if (needs_record({residual, update})) return residual + update;
  return update.add_(residual);
}

at::Tensor rotate(at::Tensor x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t batch = x.size(0), seq = x.size(1), half = cos.size(1);
  if (kernels_can_record({x}, {cos, sin})) return recorded_rotate(x, cos, sin);
  if (needs_record({x})) {
    const auto parts = x.reshape({batch, seq, -1, 2, half}).unbind(3);
    const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
    const at::Tensor low = parts[0] * c - parts[1] * s, high = parts[1] * c + parts[0] * s;
    return at::stack({low, high}, 3).reshape(x.sizes());
  }
  x = x.contiguous();
  float* data = x.data_ptr<float>();
  parallel_rows(batch * seq, x.size(2), [&](int64_t first, int64_t rows) {
    kernels::RopeTask task;
    task.stride = x.size(2);
    task.x = data + first * task.stride;
    task.first = first;
    task.tokens = rows;
    task.seq = seq;
    task.half = half;
    task.heads = x.size(2) / (2 * half);
    task.cos = cos.data_ptr<float>();
    task.sin = sin.data_ptr<float>();
    kernels::table().rotate(task);
  });
  return x;
}

at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& gain, double epsilon,
                             const at::Tensor& gradient) {
  at::Tensor result = gradient.clone(at::MemoryFormat::Contiguous);
  const int64_t width = gain.numel();
  const float* from = x.data_ptr<float>();
  float* to = result.data_ptr<float>();
  parallel_rows(x.numel() / width, width, [&](int64_t first, int64_t rows) {
    kernels::table().rms_norm_gradient(from + first * width, gain.data_ptr<float>(),
                                       static_cast<float>(epsilon), rows, width,
                                       to + first * width);
  });
  return result;
}

std::pair<at::Tensor, at::Tensor> silu_mul_gradient(const at::Tensor& gate, const at::Tensor& up,
                                                    const at::Tensor& gradient) {
  at::Tensor by_gate = gradient.clone(at::MemoryFormat::Contiguous), by_up = at::empty_like(up);
  const float *g = gate.data_ptr<float>(), *u = up.data_ptr<float>();
  float *dg = by_gate.data_ptr<float>(), *du = by_up.data_ptr<float>();
  parallel_rows(gate.numel(), 1, [&](int64_t first, int64_t count) {
    kernels::table().silu_mul_gradient(g + first, u + first, count, dg + first, du + first);
  });
  return {by_gate, by_up};
}

}  // namespace ptq
