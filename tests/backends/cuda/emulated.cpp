#include "emulated.h"

#include <cmath>

#include "kernels/dequantize.h"
#include "kernels/sparse.h"
#include "kernels/stage.h"

namespace ptq::cuda {
namespace {

// One of two functions by the number format.
template <class ForFp16, class ForBf16>
void by_number(Number number, ForFp16&& fp16, ForBf16&& bf16) {
  if (number == Number::kFp16) {
    fp16();
  } else {
    bf16();
  }
}

}  // namespace

std::vector<uint16_t> emulate_dequantize(const HostWeight& weight, int strips) {
  const WeightView view = kernel_view(view_of(weight));
  std::vector<uint16_t> out(weight.n * weight.padded_k, 0xFFFF);  // NaN in both formats
  for (int first = 0; first * kStripN < view.n; first += strips) {
    DequantizeArgs args{view, first, out.data() + int64_t{first} * kStripN * view.padded_k};
    emulator::Launch launch;
    launch.grid_x = view.padded_k / kSlabK;
    launch.grid_y = std::min(strips, view.padded_n / kStripN - first);
    launch.threads = DequantizeShape::kThreads;
    launch.shared_bytes = DequantizeShape::kSharedBytes;
    launch.seed = first + 1;
    by_number(
        weight.number, [&] { emulator::run(launch, [&] { dequantize_kernel<Fp16>(args); }); },
        [&] { emulator::run(launch, [&] { dequantize_kernel<Bf16>(args); }); });
    if (view.first_piece == nullptr) continue;
    const int channels = std::min(strips * kStripN, view.n - first * kStripN);
    const InjectArgs inject{view, first * kStripN, channels, args.out};
    emulator::Launch inject_launch;
    inject_launch.grid_x = (channels + 3) / 4;
    inject_launch.threads = InjectArgs::kThreads;
    emulator::run(inject_launch, [&] { inject_kernel(inject); });
  }
  return out;
}

std::vector<uint16_t> emulate_stage(const HostWeight& weight, const std::vector<float>& x) {
  const auto m = static_cast<int>(static_cast<int64_t>(x.size()) / weight.k);
  std::vector<uint16_t> out(m * weight.padded_k, 0xFFFF);
  const StageArgs<float> args{x.data(),
                              weight.k,
                              kernel_view(view_of(weight)).order,
                              static_cast<int32_t>(weight.k),
                              static_cast<int32_t>(weight.padded_k),
                              out.data()};
  emulator::Launch launch;
  launch.grid_x =
      static_cast<int>(round_up(weight.padded_k, kStageThreads * 8)) / kStageThreads / 8;
  launch.grid_y = m;
  launch.threads = kStageThreads;
  by_number(
      weight.number, [&] { emulator::run(launch, [&] { stage_kernel<Fp16>(args); }); },
      [&] { emulator::run(launch, [&] { stage_kernel<Bf16>(args); }); });
  return out;
}

std::vector<float> emulate_sparse(const HostWeight& weight, const std::vector<uint16_t>& staged) {
  const WeightView view = kernel_view(view_of(weight));
  if (view.first_piece == nullptr) return {};
  const auto m = static_cast<int>(static_cast<int64_t>(staged.size()) / weight.padded_k);
  std::vector<float> sums(int64_t{view.pieces} * m, NAN);
  const SparseArgs args{view, staged.data(), m, sums.data()};
  emulator::Launch launch;
  launch.grid_x = (view.pieces + 3) / 4;
  launch.threads = SparseArgs::kThreads;
  by_number(
      weight.number, [&] { emulator::run(launch, [&] { sparse_kernel<Fp16>(args); }); },
      [&] { emulator::run(launch, [&] { sparse_kernel<Bf16>(args); }); });
  return sums;
}

}  // namespace ptq::cuda
