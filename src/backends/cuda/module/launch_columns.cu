#include "failure.h"
#include "kernels/round_columns.h"
#include "launch.h"

namespace ptq::cuda {

__global__ void __launch_bounds__(RoundColumnsShape::kThreads)
    round_columns(const __grid_constant__ DeviceColumns columns) {
  round_columns_kernel(columns);
}

void launch_round_columns(const DeviceColumns& columns, cudaStream_t stream) {
  constexpr int kThreads = RoundColumnsShape::kThreads;
  const auto blocks = static_cast<unsigned>((columns.rows + kThreads - 1) / kThreads);
  round_columns<<<blocks, kThreads, RoundColumnsShape::kSharedBytes, stream>>>(columns);
  check(cudaGetLastError(), "launching round_columns");
}

}  // namespace ptq::cuda
