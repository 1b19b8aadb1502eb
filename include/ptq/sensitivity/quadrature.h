#pragma once
#include <string>
#include <vector>

#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {

/// The rules by name: "gauss", "trapezoid", "mean".
const std::vector<std::string>& quadrature_rules();

/// Nodes and coefficients of a rule with `count` nodes for ∫₀¹:
///  - "gauss": Gauss-Legendre, exact for polynomials of degree 2·count − 1;
///  - "trapezoid": equispaced with both ends, these with half the coefficient;
///  - "mean": equispaced with both ends, all alike, which is what the errors printed in
///    arXiv 2503.01901, table 3, fit; off by c/count for a gradient that grows by 2c on the way.
/// Throws ConfigError for fewer than one node (two, where both ends are nodes).
std::vector<GradientProbe::Node> quadrature(const std::string& rule, int64_t count);

}  // namespace ptq::estimator
