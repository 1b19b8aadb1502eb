#include "ptq/sensitivity/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "ptq/core/error.h"

namespace ptq {
namespace {

using Items = std::vector<std::vector<StorageOption>>;

/// States that the last search may keep: 32 MB.
constexpr size_t kMostStates = size_t{1} << 20;
/// A gain below this part of all costs is rounding: exchanges for it might never end.
constexpr double kLeastGain = 1e-13;

double gain_per_size(const StorageOption& from, const StorageOption& to) {
  return (from.cost - to.cost) / static_cast<double>(to.size - from.size);
}

/// The corners of the lower left convex hull, by rising size and falling cost.
std::vector<size_t> hull_of(const std::vector<StorageOption>& options) {
  std::vector<size_t> order(options.size()), hull;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return options[a].size != options[b].size ? options[a].size < options[b].size
                                              : options[a].cost < options[b].cost;
  });
  for (const size_t next : order) {
    if (!hull.empty() && options[next].cost >= options[hull.back()].cost) continue;
    while (hull.size() > 1 && gain_per_size(options[hull[hull.size() - 2]], options[hull.back()]) <=
                                  gain_per_size(options[hull.back()], options[next]))
      hull.pop_back();
    hull.push_back(next);
  }
  return hull;
}

/// From one corner of an item's hull to the next.
struct Step {
  size_t item, to;
  int64_t size;
  double gain, rate;
};

void select(Allocation& state, const Items& items, size_t item, size_t option) {
  const StorageOption &before = items[item][state.choice[item]], &after = items[item][option];
  state.size += after.size - before.size;
  state.cost += after.cost - before.cost;
  state.choice[item] = option;
}

/// Least cost + price · size of an item.
double least_priced(const std::vector<StorageOption>& options, double price) {
  double least = INFINITY;
  for (const StorageOption& option : options)
    least = std::min(least, option.cost + price * static_cast<double>(option.size));
  return least;
}

/// The best choice that one price gives within the budget.
std::optional<Allocation> by_price(const Items& items, int64_t budget) {
  Allocation state;
  std::vector<Step> steps;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::vector<size_t> hull = hull_of(items[i]);
    state.choice.push_back(hull.front());
    state.size += items[i][hull.front()].size;
    state.cost += items[i][hull.front()].cost;
    for (size_t k = 1; k < hull.size(); ++k) {
      const StorageOption &from = items[i][hull[k - 1]], &to = items[i][hull[k]];
      steps.push_back(
          {i, hull[k], to.size - from.size, from.cost - to.cost, gain_per_size(from, to)});
    }
  }
  if (state.size > budget) return std::nullopt;
  // An item's own steps have falling rates, so they stay in order.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.rate > b.rate; });
  for (const Step& step : steps) {
    if (state.size + step.size > budget) {
      state.price = step.rate;
      break;
    }
    select(state, items, step.item, step.to);
  }
  state.bound = -state.price * static_cast<double>(budget);
  for (const auto& options : items)
    state.bound += least_priced(options, state.price);
  return state;
}

/// Another option for one item, against its present one.
struct Move {
  size_t item = 0, option = 0;
  int64_t size = 0;
  double cost = 0;
};

/// All moves by rising size, and for the moves up to each place the two cheapest ones of different
/// items.
struct Moves {
  std::vector<Move> all;
  std::vector<std::pair<size_t, size_t>> cheapest;

  Moves(const Items& items, const Allocation& state) {
    for (size_t i = 0; i < items.size(); ++i) {
      const StorageOption& now = items[i][state.choice[i]];
      for (size_t k = 0; k < items[i].size(); ++k)
        if (k != state.choice[i])
          all.push_back({i, k, items[i][k].size - now.size, items[i][k].cost - now.cost});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Move& a, const Move& b) { return a.size < b.size; });
    std::pair<size_t, size_t> best{all.size(), all.size()};
    for (size_t m = 0; m < all.size(); ++m) {
      if (best.first == all.size() || all[m].cost < all[best.first].cost) {
        if (best.first != all.size() && all[m].item != all[best.first].item)
          best.second = best.first;
        best.first = m;
      } else if (all[m].item != all[best.first].item &&
                 (best.second == all.size() || all[m].cost < all[best.second].cost)) {
        best.second = m;
      }
      cheapest.push_back(best);
    }
  }

  /// The cheapest move of another item than `item` that takes at most `room`; null if none.
  const Move* partner(size_t item, int64_t room) const {
    const auto end = std::upper_bound(all.begin(), all.end(), room,
                                      [](int64_t most, const Move& m) { return most < m.size; });
    if (end == all.begin()) return nullptr;
    const auto& [first, second] = cheapest[static_cast<size_t>(end - all.begin()) - 1];
    if (all[first].item != item) return &all[first];
    return second == all.size() ? nullptr : &all[second];
  }
};

/// Changes one item, or two at once, as long as that lowers the cost within the budget.
void exchange(Allocation& state, const Items& items, int64_t budget) {
  for (;;) {
    const Moves moves(items, state);
    const int64_t room = budget - state.size;
    double best = -kLeastGain * std::abs(state.cost);
    const Move *first = nullptr, *second = nullptr;
    for (const Move& move : moves.all) {
      if (move.size <= room && move.cost < best) {
        best = move.cost;
        first = &move;
        second = nullptr;
      }
      const Move* other = moves.partner(move.item, room - move.size);
      if (other != nullptr && move.cost + other->cost < best) {
        best = move.cost + other->cost;
        first = &move;
        second = other;
      }
    }
    if (first == nullptr) return;
    select(state, items, first->item, first->option);
    if (second != nullptr) select(state, items, second->item, second->option);
  }
}

/// A choice for the first items.
struct Partial {
  int64_t size;
  double cost, regret;  ///< regret: what it costs at the price above the least possible
  uint32_t before, option;
};

/// Those that no other one of at most their size undercuts, by rising size.
std::vector<Partial> undominated(std::vector<Partial> all) {
  std::stable_sort(all.begin(), all.end(), [](const Partial& a, const Partial& b) {
    return a.size != b.size ? a.size < b.size : a.cost < b.cost;
  });
  std::vector<Partial> kept;
  for (const Partial& one : all)
    if (kept.empty() || one.cost < kept.back().cost) kept.push_back(one);
  return kept;
}

/// Every choice cheaper than `state` has less regret than the gap between it and the bound: looks
/// at all of those.
void complete(Allocation& state, const Items& items, int64_t budget) {
  const double gap = state.cost - state.bound;
  std::vector<std::vector<Partial>> layers{{{0, 0, 0, 0, 0}}};
  int64_t rest = 0;
  for (const auto& options : items)
    rest += options[hull_of(options).front()].size;
  size_t states = 0;
  for (const auto& options : items) {
    rest -= options[hull_of(options).front()].size;
    const double least = least_priced(options, state.price);
    std::vector<Partial> next;
    for (uint32_t b = 0; b < layers.back().size(); ++b)
      for (uint32_t k = 0; k < options.size(); ++k) {
        const Partial& before = layers.back()[b];
        const double regret = before.regret + options[k].cost +
                              state.price * static_cast<double>(options[k].size) - least;
        const int64_t size = before.size + options[k].size;
        if (regret < gap && size + rest <= budget)
          next.push_back({size, before.cost + options[k].cost, regret, b, k});
      }
    layers.push_back(undominated(std::move(next)));
    states += layers.back().size();
    if (states > kMostStates) return;
  }
  state.exact = true;
  if (layers.back().empty() || layers.back().back().cost >= state.cost) return;
  size_t at = layers.back().size() - 1;
  state.size = layers.back()[at].size;
  state.cost = layers.back()[at].cost;
  for (size_t i = items.size(); i-- > 0; at = layers[i + 1][at].before)
    state.choice[i] = layers[i + 1][at].option;
}

}  // namespace

std::optional<Allocation> allocate(const Items& items, int64_t budget) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].empty())
      throw std::logic_error("item " + std::to_string(i) + " has no option to choose");
    for (const StorageOption& option : items[i])
      if (!std::isfinite(option.cost))
        throw NumericalError("an option of item " + std::to_string(i) + " has a cost that is " +
                             std::to_string(option.cost));
  }
  std::optional<Allocation> state = by_price(items, budget);
  if (!state) return std::nullopt;
  exchange(*state, items, budget);
  complete(*state, items, budget);
  return state;
}

}  // namespace ptq
