#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "../calibration_session.h"
#include "../collection.h"
#include "../gradient_statistics.h"
#include "../partial_directory.h"
#include "../session.h"
#include "../weight_places.h"
#include "budget.h"
#include "prepared_model.h"
#include "ptq/pipeline/quantize.h"
#include "ptq/quantizers/quantizer.h"
#include "run_plan.h"
#include "selection.h"
#include "settings.h"
#include "weight_ranking.h"

namespace ptq::detail {

/// One run of the method.  What it finishes stays in the partial directory of the output, so that
/// an interrupted run goes on behind it.
class RequantRun {
 public:
  /// Throws ConfigError for options of plug-ins that the run does not use, for windows that are
  /// too few, for a target that cannot be met and for schemes that the base does not make,
  /// UnsupportedError for a base that cannot be used.
  RequantRun(const RequantSettings& settings, const QuantizeJob& job, ProgressListener& listener);

  /// What it will do, before any work; without its time where the base reads statistics that the
  /// run collects itself.
  QuantizePlan plan() const;
  QuantizeReport run();

 private:
  /// A dense checkpoint, with outliers beside it or without, that may become the result.
  struct Candidate {
    int64_t group_size = 0;
    double exponent = 0;
    SparseBudget budget;
    QuantPlan plan;
    WeightPlaces outliers;
    std::filesystem::path directory;
    double nll = -1;  ///< on the windows held back, nats per target token; −1: not measured
  };
  /// What steps behind the base found.
  struct Significant {
    WeightPlaces places;
    Json steps = Json::array();
    Json seconds = Json::array();  ///< of each step, in the run that made it
  };

  Session session_of(const QuantizeJob& base) const;
  /// A plan of each of bases_ by itself; of the first, where nothing is missing for it, `measured`.
  std::vector<QuantizePlan> plan_bases(bool measured) const;
  /// Throws ResourceError for more memory than the job may take.
  RunPlan plan_whole(const std::vector<QuantizePlan>& bases) const;
  Json identity() const;
  std::vector<std::filesystem::path> inputs() const;
  /// Whether the run itself collects the statistics with gradients that the base reads.
  bool collects() const { return job_.stats.empty() && !gradients_.names.empty(); }
  QuantizeJob base_job(const Candidate& candidate) const;
  void build(const std::filesystem::path& work);
  void collect_for_base(const std::filesystem::path& work);
  void resolve_bases();
  std::vector<Candidate> candidates_of(Candidate base, const std::filesystem::path& work);
  void quantize_base(const Candidate& candidate, const WeightPlaces& apart);
  /// The model that `candidate` is quantized from, where its base has changed it; else null.
  std::unique_ptr<CausalLM> prepared_for(const Candidate& candidate) const;
  size_t best_of(std::vector<Candidate>& candidates, const std::filesystem::path& work);
  double judged(const Candidate& candidate, const std::filesystem::path& work);
  std::vector<double> importances(const Candidate& base, const std::filesystem::path& work);
  Significant find_significant(const Candidate& dense, const std::filesystem::path& work);
  Json step(const Candidate& dense, const std::filesystem::path& work, int64_t number,
            WeightPlaces& found);
  ProbeOutcome probe(const std::string& name, const std::shared_ptr<const Direction>& way,
                     const std::vector<GradientProbe::Node>& nodes,
                     const std::filesystem::path& directory);
  Json told(const std::vector<Candidate>& candidates, const Candidate& best,
            const Json& steps) const;
  void finish(const Candidate& best, const Significant& significant, const Json& told,
              const std::filesystem::path& result);
  void describe_statistics(QuantizeReport& report) const;

  const RequantSettings& settings_;
  const QuantizeJob& job_;
  ProgressListener& listener_;
  CalibrationSession session_;
  at::Tensor held_back_;  ///< int64 [windows, seq]; undefined where nothing is chosen
  WeightRanking ranking_;
  GradientStatistics gradients_;  ///< what the base reads
  std::filesystem::path stats_;   ///< the base's store, once there is one
  bool prepares_ = false;         ///< the base changes the blocks before it quantizes them
  int64_t places_bytes_ = 0;      ///< memory that single weights take beside the base's runs
  std::vector<Candidate> bases_;  ///< a group size each, nothing quantized yet
};

}  // namespace ptq::detail
