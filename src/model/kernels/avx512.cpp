#include "make_table.h"
#include "tables.h"

namespace ptq::kernels {
namespace {
struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kRows = 12;
};
}  // namespace

Table avx512_table() {
  return make_table<Avx512>("AVX-512");
}

}  // namespace ptq::kernels
