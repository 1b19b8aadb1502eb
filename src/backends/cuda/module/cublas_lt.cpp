#include "cublas_lt.h"

#include <array>
#include <limits>

#include <cublasLt.h>
#include <dlfcn.h>

#include "stopwatch.h"

namespace ptq::cuda {

/// The functions of libcublasLt, looked up by name.
struct CublasLtFunctions {
  explicit CublasLtFunctions(void* library);

  template <class Function>
  static void find(void* library, const char* name, Function& function) {
    void* address = dlsym(library, name);
    if (address == nullptr) {
      throw Failure(kW4a16Unavailable, std::string("libcublasLt has no function ") + name);
    }
    function = reinterpret_cast<Function>(address);
  }

  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmulDescCreate) operation_create;
  decltype(&cublasLtMatmulDescDestroy) operation_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) operation_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
};

CublasLtFunctions::CublasLtFunctions(void* library) {
  find(library, "cublasLtCreate", create);
  find(library, "cublasLtDestroy", destroy);
  find(library, "cublasLtMatmul", matmul);
  find(library, "cublasLtMatmulAlgoGetHeuristic", heuristic);
  find(library, "cublasLtMatmulDescCreate", operation_create);
  find(library, "cublasLtMatmulDescDestroy", operation_destroy);
  find(library, "cublasLtMatmulDescSetAttribute", operation_set);
  find(library, "cublasLtMatrixLayoutCreate", layout_create);
  find(library, "cublasLtMatrixLayoutDestroy", layout_destroy);
  find(library, "cublasLtMatmulPreferenceCreate", preference_create);
  find(library, "cublasLtMatmulPreferenceDestroy", preference_destroy);
  find(library, "cublasLtMatmulPreferenceSetAttribute", preference_set);
}

namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kProposals = 8;
constexpr int kTimedCalls = 5;  // of each proposal

// Of the major version that the headers are of: the types would not fit another.
const CublasLtFunctions& load() {
  static const CublasLtFunctions kFunctions = [] {
    const std::string name = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Failure(kW4a16Unavailable, dlerror());
    return CublasLtFunctions(library);
  }();
  return kFunctions;
}

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const W4a16Status code = status == CUBLAS_STATUS_ALLOC_FAILED ? kW4a16OutOfMemory : kW4a16Failure;
  throw Failure(code, std::string(what) + ": cuBLAS status " + std::to_string(status));
}

cudaDataType type_of(Number number) {
  return number == Number::kFp16 ? CUDA_R_16F : CUDA_R_16BF;
}

}  // namespace

/// What cuBLASLt wants to know of one shape.  It counts by columns: yᵀ [n, m] = w xᵀ, where w is
/// the transpose of a [k, n] matrix.
struct CublasLt::Plan {
  explicit Plan(const CublasLtFunctions& api) : functions(api) {}
  ~Plan() {
    for (const cublasLtMatrixLayout_t layout : {w, x, y}) {
      if (layout != nullptr) functions.layout_destroy(layout);
    }
    if (preference != nullptr) functions.preference_destroy(preference);
    if (operation != nullptr) functions.operation_destroy(operation);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Up to `most` algorithms, the best first by cuBLASLt's own estimate; returns how many.
  int propose(cublasLtHandle_t handle, int most, cublasLtMatmulHeuristicResult_t* results) const {
    int count = 0;
    check_blas(
        functions.heuristic(handle, operation, w, x, y, y, preference, most, results, &count),
        "choosing an algorithm");
    return count;
  }

  const CublasLtFunctions& functions;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulHeuristicResult_t choice{};
  bool tuned = false;
};

CublasLt::CublasLt() : functions_(load()) {
  cublasLtHandle_t handle = nullptr;
  check_blas(functions_.create(&handle), "starting cuBLASLt");
  handle_ = handle;
}

CublasLt::~CublasLt() {
  plans_.clear();
  functions_.destroy(static_cast<cublasLtHandle_t>(handle_));
}

CublasLt::Plan& CublasLt::plan_of(const DenseProduct& p) {
  const Key key{static_cast<int32_t>(p.number), p.y_is_float, p.m, p.n, p.k, p.y_stride};
  const auto found = plans_.find(key);
  if (found != plans_.end()) return *found->second;
  auto plan = std::make_unique<Plan>(functions_);
  const cudaDataType in = type_of(p.number);
  check_blas(functions_.operation_create(&plan->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "describing a product");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check_blas(functions_.operation_set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                      sizeof transposed),
             "describing a product");
  check_blas(functions_.layout_create(&plan->w, in, p.k, p.n, p.k), "describing the weight");
  check_blas(functions_.layout_create(&plan->x, in, p.k, p.m, p.k), "describing activations");
  check_blas(
      functions_.layout_create(&plan->y, p.y_is_float ? CUDA_R_32F : in, p.n, p.m, p.y_stride),
      "describing a result");
  check_blas(functions_.preference_create(&plan->preference), "describing a product");
  check_blas(functions_.preference_set(plan->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kWorkspaceBytes, sizeof kWorkspaceBytes),
             "describing a product");
  if (plan->propose(static_cast<cublasLtHandle_t>(handle_), 1, &plan->choice) == 0)
    throw Failure(kW4a16Failure, "cuBLASLt has no algorithm for the product");
  return *plans_.emplace(key, std::move(plan)).first->second;
}

void CublasLt::run(const Plan& plan, const DenseProduct& product, cudaStream_t stream) {
  const float one = 1, zero = 0;
  check_blas(functions_.matmul(
                 static_cast<cublasLtHandle_t>(handle_), plan.operation, &one, product.w, plan.w,
                 product.x, plan.x, &zero, product.y, plan.y, product.y, plan.y, &plan.choice.algo,
                 workspace_.reserve<uint8_t>(kWorkspaceBytes), kWorkspaceBytes, stream),
             "multiplying");
}

void CublasLt::tune(Plan& plan, const DenseProduct& product, cudaStream_t stream) {
  std::array<cublasLtMatmulHeuristicResult_t, kProposals> proposals{};
  const int count =
      plan.propose(static_cast<cublasLtHandle_t>(handle_), kProposals, proposals.data());
  Stopwatch watch(stream);
  cublasLtMatmulHeuristicResult_t fastest = plan.choice;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < count; ++i) {
    if (proposals[i].state != CUBLAS_STATUS_SUCCESS) continue;
    plan.choice = proposals[i];
    run(plan, product, stream);  // warms up
    watch.begin();
    for (int call = 0; call < kTimedCalls; ++call) {
      run(plan, product, stream);
    }
    const double seconds = watch.end();
    if (seconds >= least) continue;
    least = seconds;
    fastest = proposals[i];
  }
  plan.choice = fastest;
  plan.tuned = true;
}

void CublasLt::multiply(const DenseProduct& product, bool tune_first, cudaStream_t stream) {
  Plan& plan = plan_of(product);
  if (tune_first && !plan.tuned) tune(plan, product, stream);
  run(plan, product, stream);
}

}  // namespace ptq::cuda
