#include "dequantized_source.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

class ReleaseCounter : public MapSource {
 public:
  using MapSource::MapSource;
  void release(const std::string& name) const override { released.push_back(name); }
  mutable std::vector<std::string> released;
};

TEST(DequantizedSource, ServesTheWeightAndHidesItsParts) {
  at::manual_seed(1);
  const std::shared_ptr<CheckpointFormat> layout = formats().make("gptq_v2");
  const std::vector<LinearSite> sites{make_site("x.a", 32, 32), make_site("x.b", 32, 32)};
  const QuantizedTensor weight = random_weight({4, 16, false}, 32, 32);
  const auto packed = std::make_shared<ReleaseCounter>(layout->pack(sites[0], weight, at::kFloat));
  packed->tensors["x.a.bias"] = at::ones({32});
  packed->tensors["x.b.weight"] = at::full({32, 32}, 2.0f);
  packed->tensors["norm"] = at::ones({3});
  const DequantizedSource source(packed, layout, {{"x.a", weight.scheme}}, sites);

  EXPECT_EQ(source.names(),
            (std::vector<std::string>{"norm", "x.a.bias", "x.a.weight", "x.b.weight"}));
  EXPECT_TRUE(source.tensor("x.a.weight").equal(weight.dequantize()));
  EXPECT_TRUE(source.tensor("x.b.weight").equal(packed->tensors.at("x.b.weight")));
  EXPECT_TRUE(source.contains("x.a.weight"));
  EXPECT_FALSE(source.contains("x.a.qweight"));
  EXPECT_THROW(source.tensor("x.a.qweight"), FormatError);
  source.release("x.a.weight");
  EXPECT_EQ(packed->released,
            (std::vector<std::string>{"x.a.g_idx", "x.a.qweight", "x.a.qzeros", "x.a.scales"}));
  source.release("norm");
  EXPECT_EQ(packed->released.back(), "norm");
}

}  // namespace
}  // namespace ptq
