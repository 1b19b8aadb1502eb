#pragma once
#include <cstdint>

// A stand-in for libptq_cuda.so that computes on the host (host_module.cpp): what it refuses, so
// that tests can ask for each failure.
namespace ptq::host_module {

constexpr int32_t kDevice = 3;           ///< index of its only device
constexpr int64_t kOutOfMemoryOut = 61;  ///< outputs of a weight that does not fit
constexpr int64_t kUnavailableOut = 59;  ///< outputs of a weight at which the driver goes away
constexpr int64_t kFailingRows = 53;     ///< rows of a product that fails
constexpr int64_t kLargeRows = 32;       ///< rows from which `auto` dequantizes the weight first
constexpr int64_t kTunedRows = 47;       ///< rows of a product that fails unless it is tuned
constexpr int64_t kNoRoomOut = 67;       ///< outputs of a weight that cannot be kept dequantized

// What it claims to have measured: bytes and arithmetic operations a second, and seconds.
constexpr int64_t kCacheBytes = 8192;
constexpr double kCopyRate = 1e12, kMatrixRate = 4e12;
constexpr double kSmallSeconds = 2e-6, kLargeSeconds = 3e-6;  ///< by packed weights, or not
constexpr double kLaunchSeconds = 1e-6;                       ///< more without a graph
constexpr double kDenseSeconds = 6e-6;
/// Environment variable that takes cuBLASLt, without which nothing can be timed, away.
constexpr char kWithoutCublas[] = "PTQ_HOST_MODULE_WITHOUT_CUBLAS";

/// Symbol of a function without arguments: int64_t, how often a weight was dequantized so far.
constexpr char kDequantizations[] = "ptq_host_module_dequantizations";
/// As kDequantizations: how often for a single product, because it was not kept.
constexpr char kDequantizedProducts[] = "ptq_host_module_dequantized_products";

}  // namespace ptq::host_module
