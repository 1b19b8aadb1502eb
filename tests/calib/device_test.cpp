// Gradients of a model on another device: shown on LibTorch's device "meta", which computes shapes
// only, refuses to mix with other devices, and needs no hardware.
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/calib/backward.h"
#include "ptq/calib/collector.h"
#include "ptq/model/kernels.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

const at::Device kMeta(at::kMeta);

TEST(CalibrationDevice, GradientsAndTheirSumsStayOnTheModelsDevice) {
  const testing::TinyModel tiny = testing::tiny_llama();
  const auto model = open_model(WeightSource{tiny.source(), nullptr, kMeta}, tiny.config);
  EXPECT_EQ(model->device(), kMeta);
  // Sums over columns alone are made on the CPU, from a copy.
  const StatisticSet statistics({"gram", "pooled-gradient", "fisher-sequence", "fisher-token",
                                 "sequence-energy", "weighted-gram"});
  Collector collector(statistics);
  const at::Tensor hidden = model->embed(testing::random_tokens(2, 9, model->config().vocab));
  std::vector<LinearSite> seen;
  const at::Tensor gradient = block_backward(*model->load_block(0), hidden, at::empty_like(hidden),
                                             [&](const Linear& linear, const SiteBatch& batch) {
                                               EXPECT_EQ(batch.x.device(), kMeta);
                                               EXPECT_EQ(batch.g.device(), kMeta);
                                               collector.add(linear.site(), batch);
                                               seen.push_back(linear.site());
                                             });
  EXPECT_EQ(gradient.device(), kMeta);
  EXPECT_EQ(seen.size(), 7U);
  for (const LinearSite& site : seen) {
    const SiteStats stats = collector.stats(site);
    for (const auto& [name, sums] : stats.all())
      for (const auto& sum : *sums)
        EXPECT_EQ(sum.second.device(), kMeta) << site.name << " " << name;
  }
}

TEST(CalibrationDevice, TheLossByLibTorchIsThatOfTheKernels) {
  at::manual_seed(5);
  const at::Tensor logits = at::randn({9, 83}) * 6;
  const at::Tensor targets = at::randint(83, {9}, at::kLong);
  targets[4] = -1;
  at::Tensor gradient = logits.clone(), nll = at::empty({9}, at::kDouble);
  nll_gradient_rows(gradient.data_ptr<float>(), 9, 83, targets.data_ptr<int64_t>(),
                    nll.data_ptr<double>());
  const at::Tensor other = logits.clone(), other_nll = nll_gradient_on_device(other, targets);
  // The kernels' exponentials are off by 2 float32 roundings, and their differences from the
  // largest logit, of at most 60, by one: 60 · 2⁻²⁴ of a share, which is at most 1.
  EXPECT_LE((gradient - other).abs().max().item<double>(), 4e-6);
  EXPECT_LE((nll - other_nll).abs().max().item<double>(), 4e-6);
  EXPECT_EQ(other[4].abs().max().item<float>(), 0);
  EXPECT_EQ(other_nll[4].item<double>(), 0);
  EXPECT_THROW(nll_gradient_on_device(other, at::full_like(targets, 83)), std::logic_error);
}

}  // namespace
}  // namespace ptq
