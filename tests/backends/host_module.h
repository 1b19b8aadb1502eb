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

/// Symbol of a function without arguments: int64_t, how often a weight was dequantized so far.
constexpr char kDequantizations[] = "ptq_host_module_dequantizations";
/// As kDequantizations: how often for a single product, because it was not kept.
constexpr char kDequantizedProducts[] = "ptq_host_module_dequantized_products";

}  // namespace ptq::host_module
