#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ptq {

/// One way to store something: what it takes, in any unit, and what it costs.
struct StorageOption {
  int64_t size = 0;
  double cost = 0;
};

/// One option of every item.
struct Allocation {
  std::vector<size_t> choice;  ///< by item, the option's place
  int64_t size = 0;            ///< of all together, at most the budget
  double cost = 0;
  /// Lagrange multiplier: what one more unit of size is worth; 0 where the budget does not bind.
  double price = 0;
  double bound = 0;    ///< no choice within the budget costs less than this
  bool exact = false;  ///< proved that none costs less than `cost`
};

/// Chooses an option of every item so that the sizes add up to at most `budget` and the costs to as
/// little as can be: the multiple-choice knapsack problem.  Steps on the items' convex hulls by
/// falling gain per size give the Lagrangian solution and its bound; exchanges between two items
/// repair what it leaves; a search over all choices whose regret at that price is below the gap
/// (dominance and bound as of Dyer, Kayal, Walter, EJOR 15, 1984) ends it, unless it takes too many
/// states.  Where `exact`, a larger budget never costs more.  Equal choices are decided by order,
/// so the result is the same everywhere.  Nothing if even the smallest options do not fit.  Throws
/// std::logic_error for an item without options, NumericalError for a cost that is not finite.
std::optional<Allocation> allocate(const std::vector<std::vector<StorageOption>>& items,
                                   int64_t budget);

}  // namespace ptq
