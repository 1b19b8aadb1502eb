#pragma once
#include <vector>

#include "../calibration_session.h"
#include "../weight_places.h"
#include "ptq/calib/store.h"
#include "settings.h"
#include "weight_ranking.h"

namespace ptq::detail {

/// The largest weights of each quantized linear by magnitude: of the i-th of `plan` the part
/// `shares`[i], rounded down.
WeightPlaces largest_weights(const CalibrationSession& session, const QuantPlan& plan,
                             const std::vector<double>& shares);

/// Where the gradients of a way to a quantized model lie.
struct WayGradients {
  const Direction& way;
  StatsStore& store;  ///< of the combined gradients along it
};

/// Mean |Δ ∫ ∂F/∂w| of a weight of each quantized linear, in the order of `plan`: nats per target
/// token.
std::vector<double> mean_integrals(const CalibrationSession& session, const QuantPlan& plan,
                                   const WayGradients& gradients);

/// What a ranking chooses from.
struct Choice {
  const WeightRanking& ranking;
  const RequantSettings& settings;
  const Direction& way;          ///< to the model as it stands
  StatsStore* gradients;         ///< null where the ranking needs none
  StatsStore* statistics;        ///< likewise
  const WeightPlaces& detached;  ///< not to be taken again
  int64_t count;
};

/// What was chosen.
struct Chosen {
  WeightPlaces places;
  double predicted = 0;  ///< Σ Δ ∫ ∂F/∂w of all weights, nats per target token; 0 without gradients
};

/// The `count` weights of the quantized linears that the ranking puts first.
Chosen choose_weights(const CalibrationSession& session, const QuantPlan& plan,
                      const Choice& choice);

}  // namespace ptq::detail
