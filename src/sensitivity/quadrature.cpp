#include "ptq/sensitivity/quadrature.h"

#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "ptq/core/error.h"

namespace ptq::estimator {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kNewtonSteps = 100;

struct Legendre {
  double value, slope;
};

/// The Legendre polynomial of `degree` at `x` inside (-1, 1), by Bonnet's recursion.
Legendre legendre(int64_t degree, double x) {
  double before = 0, value = 1;
  for (int64_t k = 0; k < degree; ++k) {
    const auto n = static_cast<double>(k);
    const double next = ((2 * n + 1) * x * value - n * before) / (n + 1);
    before = value;
    value = next;
  }
  return {value, static_cast<double>(degree) * (x * value - before) / (x * x - 1)};
}

GradientProbe::Node gauss_node(int64_t count, int64_t index) {
  const auto n = static_cast<double>(count);
  // Tricomi's estimate is close enough for Newton's method to find this root and no other.
  double x = std::cos(kPi * (static_cast<double>(count - index) - 0.25) / (n + 0.5));
  Legendre at = legendre(count, x);
  for (int step = 0; step < kNewtonSteps; ++step) {
    const double move = at.value / at.slope;
    x -= move;
    at = legendre(count, x);
    if (std::abs(move) < 1e-15) break;
  }
  // On [-1, 1] the coefficient is 2 / ((1 - x²) P'²).
  return {(1 + x) / 2, 1 / ((1 - x * x) * at.slope * at.slope)};
}

GradientProbe::Node even_node(int64_t count, int64_t index, bool trapezoid) {
  const auto gaps = static_cast<double>(count - 1);
  const double place = static_cast<double>(index) / gaps;
  if (!trapezoid) return {place, 1 / (gaps + 1)};
  const bool end = index == 0 || index == count - 1;
  return {place, (end ? 0.5 : 1) / gaps};
}

}  // namespace

const std::vector<std::string>& quadrature_rules() {
  static const std::vector<std::string> rules = {"gauss", "trapezoid", "mean"};
  return rules;
}

std::vector<GradientProbe::Node> quadrature(const std::string& rule, int64_t count) {
  const bool gauss = rule == "gauss", trapezoid = rule == "trapezoid";
  if (!gauss && !trapezoid && rule != "mean") throw std::logic_error("no quadrature rule " + rule);
  const int64_t least = gauss ? 1 : 2;
  if (count < least)
    throw ConfigError("the quadrature rule " + rule + " needs at least " + std::to_string(least) +
                          " nodes, not " + std::to_string(count),
                      "raise the option nodes");
  std::vector<GradientProbe::Node> nodes;
  for (int64_t i = 0; i < count; ++i)
    nodes.push_back(gauss ? gauss_node(count, i) : even_node(count, i, trapezoid));
  return nodes;
}

}  // namespace ptq::estimator
