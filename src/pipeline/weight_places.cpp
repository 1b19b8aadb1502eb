#include "weight_places.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/io/sha256.h"

namespace ptq::detail {

int64_t count_of(const WeightPlaces& places) {
  int64_t count = 0;
  for (const auto& entry : places)
    count += entry.second.size(0);
  return count;
}

WeightPlaces united(const WeightPlaces& a, const WeightPlaces& b) {
  WeightPlaces both = a;
  for (const auto& [site, places] : b) {
    const auto found = both.find(site);
    if (found == both.end())
      both.emplace(site, places);
    else
      found->second = std::get<0>(at::unique_dim(at::cat({found->second, places}), 0));
  }
  return both;
}

std::string digest_of(const WeightPlaces& places) {
  std::string all;
  for (const auto& [site, of_site] : places) {
    const at::Tensor flat = of_site.contiguous();
    all +=
        site + " " + sha256_hex({static_cast<const char*>(flat.data_ptr()), flat.nbytes()}) + "\n";
  }
  return sha256_hex(all);
}

void TopWeights::offer(const std::string& site, const at::Tensor& scores, int64_t most) {
  const int64_t wanted = std::min(most, count_);
  if (wanted <= 0) return;
  const at::Tensor flat = scores.reshape({-1});
  // Sorting every linear would take longer than the gradients.
  at::Tensor places = flat.gt(floor_).nonzero().view({-1});
  at::Tensor values = flat.index_select(0, places);
  if (places.size(0) > wanted) {
    const at::Tensor highest = std::get<1>(values.topk(wanted));
    values = values.index_select(0, highest);
    places = places.index_select(0, highest);
  }
  if (places.size(0) == 0) return;
  sites_.push_back(site);
  scores_.push_back(values);
  places_.push_back(places);
  held_ += places.size(0);
  if (held_ > 2 * count_) keep_highest();
}

void TopWeights::keep_highest() {
  std::vector<at::Tensor> owners;
  for (size_t i = 0; i < sites_.size(); ++i)
    owners.push_back(at::full({places_[i].size(0)}, static_cast<int64_t>(i), at::kLong));
  const at::Tensor all = at::cat(scores_);
  // Stable, so that equal scores do not depend on how a sort happens to go.
  const at::Tensor order = std::get<1>(all.sort(/*stable=*/true, 0, /*descending=*/true));
  // In the order of the offers again: it decides between equals that are still to come.
  const at::Tensor kept = std::get<0>(order.narrow(0, 0, std::min(count_, order.size(0))).sort());
  const at::Tensor score = all.index_select(0, kept);
  const at::Tensor owner = at::cat(owners).index_select(0, kept);
  const at::Tensor place = at::cat(places_).index_select(0, kept);
  for (size_t i = 0; i < sites_.size(); ++i) {
    const at::Tensor own = owner == static_cast<int64_t>(i);
    scores_[i] = score.masked_select(own);
    places_[i] = place.masked_select(own);
  }
  held_ = kept.size(0);
  if (held_ == count_) floor_ = score.min().item<float>();
}

int64_t TopWeights::bytes(int64_t count, int64_t largest) {
  // Score, place, and while they are sorted owner, score and order, and one of these once more; of
  // those that were found last, and those that stay, what they are.  In a linear there are mask,
  // place and score of all that may be taken, and the search pairs the last two.
  return count * (3 * (12 + 8 + 4 + 12 + 8) + 12 + 20) + largest * (1 + 8 + 4 + 16);
}

WeightPlaces TopWeights::take() {
  WeightPlaces taken;
  if (sites_.empty()) return taken;
  keep_highest();
  for (size_t i = 0; i < sites_.size(); ++i)
    if (places_[i].size(0) > 0) taken.emplace(sites_[i], std::get<0>(places_[i].sort()));
  return taken;
}

}  // namespace ptq::detail
