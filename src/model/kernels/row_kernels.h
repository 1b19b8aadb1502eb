#pragma once
#include "ptq/core/kernels/vector.h"
#include "table.h"

namespace ptq::kernels {

/// Kernels whose rows or elements do not meet.
template <class Isa>
struct RowKernels {
  using V = Vector<Isa>;
  using Float = typename V::Float;
  using Double = typename V::Double;
  static constexpr int64_t kLanes = Isa::kLanes;
  static constexpr int64_t kChunk = 16 * kLanes;  // float32 sums are this short, then float64
  static constexpr float kLowest = -3.402823466e38F;

  /// Up to kLanes floats, `fill` behind them.
  static Float load_some(const float* p, int64_t count, float fill) {
    if (count >= kLanes) return V::load(p);
    Float v = V::all(fill);
    for (int64_t i = 0; i < count; ++i)
      v[i] = p[i];
    return v;
  }
  static void store_some(float* p, int64_t count, Float v) {
    if (count >= kLanes) return V::store(p, v);
    for (int64_t i = 0; i < count; ++i)
      p[i] = v[i];
  }

  static void rotate(const RopeTask& task) {
    for (int64_t t = 0; t < task.tokens; ++t) {
      const float* cos = task.cos + (task.first + t) % task.seq * task.half;
      const float* sin = task.sin + (task.first + t) % task.seq * task.half;
      for (int64_t h = 0; h < task.heads; ++h) {
        float* low = task.x + t * task.stride + h * 2 * task.half;
        float* high = low + task.half;
        for (int64_t i = 0; i < task.half; ++i) {
          const float a = low[i], b = high[i];
          low[i] = a * cos[i] - b * sin[i];
          high[i] = b * cos[i] + a * sin[i];
        }
      }
    }
  }

  static void rms_norm(const float* x, const float* gain, float epsilon, int64_t rows, int64_t n,
                       float* y) {
    for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
      Double total{};
      for (int64_t i = 0; i < n; i += kLanes) {
        const Double v = V::widen(load_some(x + i, n - i, 0));
        total += v * v;
      }
      const double mean = V::sum(total) / static_cast<double>(n) + epsilon;
      const float factor = static_cast<float>(1 / __builtin_sqrt(mean));
      for (int64_t i = 0; i < n; ++i)
        y[i] = x[i] * factor * gain[i];
    }
  }

  static void silu_mul(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const Float g = load_some(gate + i, n - i, 0), u = load_some(up + i, n - i, 0);
      store_some(gate + i, n - i, g / (1.0F + V::exp(-g)) * u);
    }
  }

  /// Turns the gradient of rms_norm's result into that of `x`, in place:
  /// dx = r·(gain·dy − x·r²·mean(gain·dy·x)), r = 1 / sqrt(mean(x²) + epsilon).
  static void rms_norm_gradient(const float* x, const float* gain, float epsilon, int64_t rows,
                                int64_t n, float* gradient) {
    for (int64_t row = 0; row < rows; ++row, x += n, gradient += n) {
      Double squares{}, products{};
      for (int64_t i = 0; i < n; i += kLanes) {
        const Float v = load_some(x + i, n - i, 0);
        const Float g = load_some(gradient + i, n - i, 0) * load_some(gain + i, n - i, 0);
        squares += V::widen(v) * V::widen(v);
        products += V::widen(g) * V::widen(v);
      }
      const auto count = static_cast<double>(n);
      const double inverse = 1 / (V::sum(squares) / count + epsilon);
      const auto factor = static_cast<float>(__builtin_sqrt(inverse));
      const auto share = static_cast<float>(inverse * V::sum(products) / count);
      for (int64_t i = 0; i < n; ++i)
        gradient[i] = factor * (gain[i] * gradient[i] - x[i] * share);
    }
  }

  /// Gradients of silu_mul's inputs; `gate_gradient` comes as the gradient of the result.
  static void silu_mul_gradient(const float* gate, const float* up, int64_t n, float* gate_gradient,
                                float* up_gradient) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const Float g = load_some(gate + i, n - i, 0), u = load_some(up + i, n - i, 0);
      const Float dy = load_some(gate_gradient + i, n - i, 0);
      const Float sigmoid = 1.0F / (1.0F + V::exp(-g));
      store_some(up_gradient + i, n - i, dy * g * sigmoid);
      store_some(gate_gradient + i, n - i, dy * u * sigmoid * (1.0F + g * (1.0F - sigmoid)));
    }
  }

  /// x = softmax(scale·x).
  static void softmax(float* x, int64_t n, float scale) {
    Float most = V::all(kLowest);
    for (int64_t i = 0; i < n; i += kLanes)
      most = V::max(load_some(x + i, n - i, kLowest / scale) * scale, most);
    const float top = V::largest(most);
    Float total{};
    for (int64_t i = 0; i < n; i += kLanes) {
      const Float e = V::exp(load_some(x + i, n - i, kLowest) * scale - top);
      store_some(x + i, n - i, e);
      total += e;
    }
    const float factor = 1.0F / V::sum(total);
    for (int64_t i = 0; i < n; ++i)
      x[i] *= factor;
  }

  /// Turns the gradient of softmax's result `p` into that of its input, in place.
  static void softmax_gradient(const float* p, int64_t n, float scale, float* gradient) {
    Float total{};
    for (int64_t i = 0; i < n; i += kLanes)
      total += load_some(p + i, n - i, 0) * load_some(gradient + i, n - i, 0);
    const float mean = V::sum(total);
    for (int64_t i = 0; i < n; ++i)
      gradient[i] = scale * p[i] * (gradient[i] - mean);
  }

  static void exp(float* x, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes)
      store_some(x + i, n - i, V::exp(load_some(x + i, n - i, 0)));
  }

  /// log Σ e^x as maximum + log(sum), found in one pass.
  struct LogSum {
    float top;
    double sum;
    double value() const { return top + __builtin_log(sum); }
  };

  static LogSum log_sum(const float* x, int64_t n) {
    LogSum all{kLowest, 0};
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      const int64_t count = n - begin < kChunk ? n - begin : kChunk;
      Float most = V::all(all.top);
      for (int64_t i = 0; i < count; i += kLanes)
        most = V::max(load_some(x + begin + i, count - i, kLowest), most);
      const float top = V::largest(most);
      Float total{};
      for (int64_t i = 0; i < count; i += kLanes)
        total += V::exp(load_some(x + begin + i, count - i, kLowest) - top);
      if (top > all.top) {
        all.sum *= exp_one<Isa>(all.top - top);
        all.top = top;
      }
      all.sum += V::sum(V::widen(total));
    }
    return all;
  }

  static double row_nll(const float* logits, int64_t n, int64_t target) {
    return log_sum(logits, n).value() - logits[target];
  }

  static double nll_gradient(float* logits, int64_t n, int64_t target) {
    const LogSum sum = log_sum(logits, n);
    const double nll = sum.value() - logits[target];
    // Two steps keep the digits that the difference to a single rounded logarithm would lose.
    const float top = sum.top, factor = static_cast<float>(1 / sum.sum);
    for (int64_t i = 0; i < n; i += kLanes) {
      const Float e = V::exp(load_some(logits + i, n - i, kLowest) - top);
      store_some(logits + i, n - i, e * factor);
    }
    logits[target] -= 1;
    return nll;
  }

  static int64_t first_of(const float* x, int64_t n, float value) {
    for (int64_t i = 0; i < n; ++i)
      if (x[i] == value) return i;
    return n;
  }

  static void row_kl(const float* reference, const float* logits, int64_t n, double* kl,
                     uint8_t* same_top1) {
    const LogSum p = log_sum(reference, n), q = log_sum(logits, n);
    const double shift = p.value() - q.value();
    // Σ p (log p − log q): the difference of a token, not of the sums, so that small divergences
    // keep their digits.
    double total = 0;
    const float top = p.top, float_shift = static_cast<float>(shift);
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      const int64_t count = n - begin < kChunk ? n - begin : kChunk;
      Float part{};
      for (int64_t i = 0; i < count; i += kLanes) {
        const Float a = load_some(reference + begin + i, count - i, kLowest);
        const Float b = load_some(logits + begin + i, count - i, kLowest);
        part += V::exp(a - top) * (a - b - float_shift);
      }
      total += V::sum(V::widen(part));
    }
    *kl = total / p.sum + (static_cast<double>(float_shift) - shift);
    *same_top1 = first_of(reference, n, p.top) == first_of(logits, n, q.top) ? 1 : 0;
  }
};

}  // namespace ptq::kernels
