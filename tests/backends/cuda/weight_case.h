#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "host_weight.h"

namespace ptq::cuda {

/// What a random weight for a test looks like.
struct CaseOptions {
  int64_t out = 64, in = 64;
  int64_t group_size = 64;
  bool zero_point = false;
  bool permuted = false;
  bool sparse = false;
  Number number = Number::kFp16;
  uint32_t seed = 1;

  std::string name() const;
};

/// A random weight and its arrays: scales of both signs that `number` holds exactly, codes over the
/// whole range, sparse rows of very different lengths (some empty).
struct WeightCase {
  explicit WeightCase(const CaseOptions& case_options);

  CaseOptions options;
  int64_t groups = 0;
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales;
  std::vector<int32_t> group_of, row_begin, columns;
  std::vector<float> values;

  /// Valid as long as this object.
  WeightArrays arrays() const;
  /// The weight of (channel, input) rounded once to `number`, from the arrays alone.
  uint16_t rounded(int64_t channel, int64_t input) const;
  /// float32 [out, in] of those.
  std::vector<float> dense() const;

 private:
  void make_sparse(std::mt19937& random);
};

/// Groups {32, 64, 128, whole row} × zero point × permuted × sparse × number format, of odd shapes.
std::vector<CaseOptions> all_cases();

}  // namespace ptq::cuda
