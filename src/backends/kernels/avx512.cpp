#include "int4_kernel.h"
#include "tables.h"

namespace ptq::backend {
namespace {
struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kRows = 12;
  static constexpr int kWideStreamRows = 2;
};
}  // namespace

KernelTable avx512_table() {
  return make_table<Avx512>("AVX-512");
}

}  // namespace ptq::backend
