#include "selection.h"

#include <functional>

#include <ATen/ATen.h>

#include "ptq/calib/sweep.h"

namespace ptq::detail {
namespace {

/// Visits every quantized linear of the model with its weight on the CPU, a block in memory at a
/// time.
void for_each_linear(const CalibrationSession& session, const QuantPlan& plan,
                     const std::function<void(const LinearSite&, const at::Tensor&)>& visit) {
  forward_sweep(*session.input.model, [&](Block& block, int64_t) {
    session.poll();
    for (const Stage& stage : block.stages())
      for (const Linear& linear : stage.linears)
        if (plan.count(linear.site().name) > 0) visit(linear.site(), linear.weight().cpu());
  });
}

/// The combined gradient of `site`, float32 [out, in], nats per target token.
at::Tensor gradient_of(StatsStore& store, const LinearSite& site) {
  const SiteStats stats = store.site_stats(site);
  return stats.sum("pooled-gradient").to(at::kFloat) / static_cast<double>(stats.counts().targets);
}

}  // namespace

WeightPlaces largest_weights(const CalibrationSession& session, const QuantPlan& plan,
                             const std::vector<double>& shares) {
  std::map<std::string, double> share_of;
  size_t i = 0;
  for (const auto& entry : plan)
    share_of[entry.first] = shares.at(i++);
  WeightPlaces places;
  for_each_linear(session, plan, [&](const LinearSite& site, const at::Tensor& weight) {
    const double part = share_of.at(site.name);
    TopWeights top(static_cast<int64_t>(part * static_cast<double>(weight.numel())));
    top.offer(site.name, weight.abs());
    places.merge(top.take());
  });
  return places;
}

std::vector<double> mean_integrals(const CalibrationSession& session, const QuantPlan& plan,
                                   const WayGradients& gradients) {
  std::map<std::string, double> mean;
  for_each_linear(session, plan, [&](const LinearSite& site, const at::Tensor& weight) {
    const at::Tensor change = gradients.way.of(site, weight);
    mean[site.name] =
        change.mul_(gradient_of(gradients.store, site)).abs_().mean(at::kDouble).item<double>();
  });
  std::vector<double> means;
  for (const auto& entry : plan)
    means.push_back(mean.at(entry.first));
  return means;
}

Chosen choose_weights(const CalibrationSession& session, const QuantPlan& plan,
                      const Choice& choice) {
  int64_t weights = 0;
  for (const LinearSite& site : session.sites)
    if (plan.count(site.name) > 0) weights += site.out_features * site.in_features;
  TopWeights top(choice.count);
  Chosen chosen;
  for_each_linear(session, plan, [&](const LinearSite& site, const at::Tensor& weight) {
    const at::Tensor change = choice.way.of(site, weight);
    SiteStats stats;
    if (choice.statistics != nullptr)
      stats = choice.statistics->site_stats(site, choice.ranking.statistics);
    at::Tensor gradient;
    if (choice.gradients != nullptr) {
      gradient = gradient_of(*choice.gradients, site);
      chosen.predicted += (change * gradient).sum(at::kDouble).item<double>();
    }
    const SiteView view{site, weight, stats, at::kFloat};
    at::Tensor scores = choice.ranking.score({view, change, gradient}, choice.settings.seed);
    if (const auto found = choice.detached.find(site.name); found != choice.detached.end())
      scores.view({-1}).index_fill_(0, found->second, 0);
    const auto size = static_cast<double>(weight.numel());
    if (choice.settings.per_tensor)
      top.offer(site.name, scores,
                static_cast<int64_t>(static_cast<double>(choice.count) * size /
                                     static_cast<double>(weights)));
    else
      top.offer(site.name, scores);
  });
  chosen.places = top.take();
  return chosen;
}

}  // namespace ptq::detail
