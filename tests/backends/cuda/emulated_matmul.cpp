#include "emulated_matmul.h"

#include <cmath>
#include <stdexcept>

#include "emulated.h"
#include "kernels/small_matmul_kernel.h"

namespace ptq::cuda {
namespace {

template <class T, class Shape>
void launch(SmallMatmulArgs args, uint64_t seed) {
  emulator::Launch launch;
  launch.seed = seed;
  launch.threads = Shape::kThreads;
  launch.shared_bytes = Shape::kSharedBytes;
  const int channel_tiles = (args.weight.n + Shape::kChannels - 1) / Shape::kChannels;
  launch.grid_x = channel_tiles * args.splits;
  launch.grid_y = (args.m + Shape::kTokens - 1) / Shape::kTokens;
  const int tiles = channel_tiles * launch.grid_y;
  std::vector<float> partial(int64_t{tiles} * args.splits * Shape::kTokens * Shape::kChannels, NAN);
  std::vector<int32_t> tickets(tiles, 0);
  args.partial_sums = partial.data();
  args.tickets = tickets.data();
  emulator::run(launch, [&] { small_matmul_kernel<T, Shape>(args); });
  for (const int32_t ticket : tickets) {
    if (ticket != 0) throw std::logic_error("a ticket was left at " + std::to_string(ticket));
  }
}

template <class T>
void launch_shape(const SmallMatmulArgs& args, const SmallMatmulRun& run) {
  switch (run.tokens) {
    case 8:
      return launch<T, SmallMatmul8>(args, run.seed);
    case 16:
      return launch<T, SmallMatmul16>(args, run.seed);
    case 32:
      return launch<T, SmallMatmul32>(args, run.seed);
    case 64:
      return launch<T, SmallMatmul64>(args, run.seed);
    default:
      throw std::logic_error("no kernel for blocks of " + std::to_string(run.tokens) + " tokens");
  }
}

}  // namespace

std::vector<float> emulate_small_matmul(const HostWeight& weight, const std::vector<float>& x,
                                        const SmallMatmulRun& run) {
  const std::vector<uint16_t> staged = emulate_stage(weight, x);
  const std::vector<float> sparse = emulate_sparse(weight, staged);
  const auto m = static_cast<int32_t>(static_cast<int64_t>(x.size()) / weight.k);
  std::vector<float> y(m * weight.n, NAN);
  std::vector<uint16_t> narrow(y.size(), 0xFFFF);
  SmallMatmulArgs args{};
  args.weight = kernel_view(view_of(weight));
  args.x = staged.data();
  args.m = m;
  args.splits = run.splits;
  args.out.y = run.float_output ? static_cast<void*>(y.data()) : narrow.data();
  args.out.stride = weight.n;
  args.out.y_is_float = run.float_output;
  args.out.bias = run.bias;
  args.out.sparse_sums = sparse.empty() ? nullptr : sparse.data();
  if (weight.number == Number::kFp16) {
    launch_shape<Fp16>(args, run);
  } else {
    launch_shape<Bf16>(args, run);
  }
  for (size_t i = 0; !run.float_output && i < y.size(); ++i) {
    y[i] = decode(weight.number, narrow[i]);
  }
  return y;
}

}  // namespace ptq::cuda
