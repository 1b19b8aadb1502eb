#include "make_table.h"
#include "tables.h"

namespace ptq::kernels {
namespace {
struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kRows = 6;
};
}  // namespace

Table avx2_table() {
  return make_table<Avx2>("AVX2");
}

}  // namespace ptq::kernels
