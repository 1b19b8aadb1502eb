#pragma once
#include "failure.h"
#include "kernels/dequantize.h"
#include "kernels/small_matmul_kernel.h"
#include "kernels/sparse.h"
#include "kernels/stage.h"
#include "launch.h"

// The launches of launch.h for one number format; included by one .cu for each.
namespace ptq::cuda {

template <class T>
__global__ void __launch_bounds__(DequantizeShape::kThreads)
    dequantize(const __grid_constant__ DequantizeArgs args) {
  dequantize_kernel<T>(args);
}

template <class T>
__global__ void __launch_bounds__(InjectArgs::kThreads)
    inject(const __grid_constant__ InjectArgs args) {
  inject_kernel(args);
}

template <class T, class In>
__global__ void __launch_bounds__(kStageThreads) stage(const __grid_constant__ StageArgs<In> args) {
  stage_kernel<T, In>(args);
}

template <class T>
__global__ void __launch_bounds__(SparseArgs::kThreads)
    sparse(const __grid_constant__ SparseArgs args) {
  sparse_kernel<T>(args);
}

template <class T, class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksPerProcessor)
    small_matmul(const __grid_constant__ SmallMatmulArgs args) {
  small_matmul_kernel<T, Shape>(args);
}

template <class T>
class KernelsOf : public Kernels {
 public:
  void prepare_device() const override {
    allow_shared<SmallMatmul8>();
    allow_shared<SmallMatmul16>();
    allow_shared<SmallMatmul32>();
    allow_shared<SmallMatmul64>();
  }

  void dequantize(const DequantizeArgs& args, int strips, cudaStream_t stream) const override {
    const dim3 grid(args.weight.padded_k / kSlabK, strips);
    cuda::dequantize<T>
        <<<grid, DequantizeShape::kThreads, DequantizeShape::kSharedBytes, stream>>>(args);
    check(cudaGetLastError(), "launching dequantize");
  }

  void inject(const InjectArgs& args, cudaStream_t stream) const override {
    constexpr int kRows = InjectArgs::kThreads / kLanes;
    const int blocks = (args.channels + kRows - 1) / kRows;
    cuda::inject<T><<<blocks, InjectArgs::kThreads, 0, stream>>>(args);
    check(cudaGetLastError(), "launching inject");
  }

  void stage(const StageArgs<float>& args, int m, cudaStream_t stream) const override {
    launch_stage(args, m, stream);
  }
  void stage(const StageArgs<uint16_t>& args, int m, cudaStream_t stream) const override {
    launch_stage(args, m, stream);
  }

  void sparse(const SparseArgs& args, cudaStream_t stream) const override {
    constexpr int kPieces = SparseArgs::kThreads / kLanes;
    const int blocks = (args.weight.pieces + kPieces - 1) / kPieces;
    cuda::sparse<T><<<blocks, SparseArgs::kThreads, 0, stream>>>(args);
    check(cudaGetLastError(), "launching sparse");
  }

  void small_matmul(const SmallMatmulArgs& args, const SmallMatmulPlan& plan,
                    cudaStream_t stream) const override {
    switch (plan.tokens) {
      case 8:
        return launch_small<SmallMatmul8>(args, plan, stream);
      case 16:
        return launch_small<SmallMatmul16>(args, plan, stream);
      case 32:
        return launch_small<SmallMatmul32>(args, plan, stream);
      default:
        return launch_small<SmallMatmul64>(args, plan, stream);
    }
  }

 private:
  template <class Shape>
  void allow_shared() const {
    check(cudaFuncSetAttribute(cuda::small_matmul<T, Shape>,
                               cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kSharedBytes),
          "asking for shared memory");
  }

  template <class In>
  void launch_stage(const StageArgs<In>& args, int m, cudaStream_t stream) const {
    constexpr int kValues = kStageThreads * 8;
    const dim3 grid((args.padded_k + kValues - 1) / kValues, m);
    cuda::stage<T, In><<<grid, kStageThreads, 0, stream>>>(args);
    check(cudaGetLastError(), "launching stage");
  }

  template <class Shape>
  void launch_small(const SmallMatmulArgs& args, const SmallMatmulPlan& plan,
                    cudaStream_t stream) const {
    const dim3 grid(plan.channel_tiles * plan.splits, plan.token_tiles);
    cuda::small_matmul<T, Shape><<<grid, Shape::kThreads, Shape::kSharedBytes, stream>>>(args);
    check(cudaGetLastError(), "launching small_matmul");
  }
};

}  // namespace ptq::cuda
