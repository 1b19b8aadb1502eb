// The kernels' launches and cuBLASLt on the device without memory.
#include "cublas_lt.h"
#include "failure.h"
#include "fake_device.h"
#include "launch.h"

namespace ptq::cuda {
namespace {

void queue(const char* name, double seconds) {
  fake::Device& device = fake::device();
  if (device.recording && device.failing == name) throw Failure(kW4a16Failure, "a bad launch");
  device.host_seconds += fake::kLaunchSeconds;
  device.queue({name, seconds});
}

class FakeKernels : public Kernels {
 public:
  void prepare_device() const override {}
  void dequantize(const DequantizeArgs&, int, cudaStream_t) const override {
    queue("dequantize", fake::kDequantizeSeconds);
  }
  void inject(const InjectArgs&, cudaStream_t) const override { queue("inject", 1e-6); }
  void stage(const StageArgs<float>&, int, cudaStream_t) const override { queue("stage", 1e-6); }
  void stage(const StageArgs<uint16_t>&, int, cudaStream_t) const override { queue("stage", 1e-6); }
  void sparse(const SparseArgs&, cudaStream_t) const override { queue("sparse", 1e-6); }
  void small_matmul(const SmallMatmulArgs& args, const SmallMatmulPlan&,
                    cudaStream_t) const override {
    fake::device().weights.insert(args.weight.codes);
    fake::device().inputs.insert(args.x);
    fake::device().outputs.insert(args.out.y);
    queue("small", fake::kSmallSeconds);
  }
};

}  // namespace

const Kernels& kernels_fp16() {
  static const FakeKernels kKernels;
  return kKernels;
}
const Kernels& kernels_bf16() {
  return kernels_fp16();
}
void launch_round_columns(const DeviceColumns&, cudaStream_t) {
  queue("columns", 1e-6);
}

struct CublasLtFunctions {};
struct CublasLt::Plan {};

namespace {
const CublasLtFunctions& no_functions() {
  static const CublasLtFunctions kNone;
  return kNone;
}
}  // namespace

CublasLt::CublasLt() : functions_(no_functions()) {
  if (!fake::device().has_blas) throw Failure(kW4a16Unavailable, "libcublasLt is not there");
}
CublasLt::~CublasLt() = default;

void CublasLt::multiply(const DenseProduct& product, bool, cudaStream_t) {
  workspace_.reserve<uint8_t>(1 << 20);
  fake::device().dense_weights.insert(product.w);
  queue("dense", 2.0 * static_cast<double>(product.m * product.n) * static_cast<double>(product.k) /
                     fake::kMatrixRate);
}

}  // namespace ptq::cuda
