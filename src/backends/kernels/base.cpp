#include "int4_kernel.h"
#include "tables.h"

namespace ptq::backend {
namespace {
struct Base {
  static constexpr int kLanes = 4;
  static constexpr int kRows = 6;
  static constexpr int kWideStreamRows = 1;
};
}  // namespace

KernelTable base_table() {
  return make_table<Base>("baseline");
}

}  // namespace ptq::backend
