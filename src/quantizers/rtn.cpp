// Round to nearest: every weight to the closest point of its group's grid, without data.
#include "ptq/core/error.h"
#include "ptq/quantizers/grid.h"
#include "ptq/quantizers/quantizer.h"
#include "scheme_check.h"

namespace ptq::quantizer {
namespace {

class RoundToNearest : public Quantizer {
 public:
  explicit RoundToNearest(bool search) : search_(search) {}

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    require_whole_groups(site.site, scheme);
    const at::Tensor weight = site.weight.contiguous();
    const Grids grids = fit_grids(weight, scheme, site.model_dtype, {search_, {}});
    const RoundedWeight rounded = round_to_nearest(weight, scheme, grids);
    QuantizedSite result;
    result.weight = rounded.weight;
    if (rounded.squared_weight > 0)
      result.relative_error = rounded.squared_error / rounded.squared_weight;
    return result;
  }

 private:
  bool search_;
};

}  // namespace

std::unique_ptr<Quantizer> rtn(Options& options) {
  const std::string grid = options.get_choice(
      "grid", "minmax", {"minmax", "mse"},
      "how a group's grid is found: minmax (full range) or mse (least squared error)");
  return std::make_unique<RoundToNearest>(grid == "mse");
}

}  // namespace ptq::quantizer
