#include "int4_kernel.h"
#include "tables.h"

namespace ptq::backend {
namespace {
struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kRows = 6;
  static constexpr int kWideStreamRows = 2;
};
}  // namespace

KernelTable avx2_table() {
  return make_table<Avx2>("AVX2");
}

}  // namespace ptq::backend
