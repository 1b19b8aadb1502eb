#include "ptq/pipeline/job.h"

#include "weight_places.h"

namespace ptq {

Json QuantizeJob::to_json() const {
  Json files = Json::array();
  for (const auto& file : calibration.files)
    files.push_back(file.filename().string());
  Json json = {{"method", method},
               {"format", format},
               // A plan made beforehand takes the place of one scheme for all.
               {"bits", plan.decided ? Json() : Json(plan.scheme.bits)},
               {"group_size", plan.decided ? Json() : Json(plan.scheme.group_size)},
               {"symmetric", plan.decided ? Json() : Json(plan.scheme.symmetric)},
               {"skip", plan.skip},
               {"override", plan.overrides},
               {"plan", plan.decided ? plan.decided->to_json() : Json()},
               {"on_odd_shape", plan.odd_shape},
               {"options", plugin_options},
               {"calibration", files},
               {"samples", calibration.samples},
               {"seqlen", calibration.seqlen},
               {"windows", calibration.windows},
               {"seed", calibration.seed},
               // Our own sums are the same for any number of threads; LibTorch divides a sum over a
               // whole tensor of more than 32768 elements among them, so that the last digit of a
               // reported error, and of the mean diagonal of so wide a Gram matrix, depends on it.
               {"threads", threads},
               {"device", device},
               {"memory_limit_bytes", memory_limit_bytes},
               {"max_fallbacks", max_fallbacks}};
  if (plan.scheme.lookup && !plan.decided) json["lookup"] = true;
  if (measure_outputs) json["measure_outputs"] = true;
  if (!apart.empty()) json["apart"] = detail::digest_of(apart);
  if (calibration.hold_back > 0) json["hold_back"] = calibration.hold_back;
  return json;
}

}  // namespace ptq
