#include "make_table.h"
#include "tables.h"

namespace ptq::kernels {
namespace {
struct Base {
  static constexpr int kLanes = 4;
  static constexpr int kRows = 6;
};
}  // namespace

Table base_table() {
  return make_table<Base>("baseline");
}

}  // namespace ptq::kernels
