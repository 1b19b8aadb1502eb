#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace ptq::detail {

/// Places of single weights by the name of their linear: int64 [n], o · in + i, rising; a linear
/// without any is absent.
using WeightPlaces = std::map<std::string, at::Tensor>;

/// How many places there are.
int64_t count_of(const WeightPlaces& places);

/// Those of both.
WeightPlaces united(const WeightPlaces& a, const WeightPlaces& b);

/// SHA-256 over names and places: equal digests mean equal places.
std::string digest_of(const WeightPlaces& places);

/// Finds the weights with the highest scores among many linears; keeps at most three times as many
/// as are wanted.
class TopWeights {
 public:
  /// Of all linears together `count` are wanted.
  explicit TopWeights(int64_t count) : count_(count) {}

  /// `scores`: float32 [out, in].  Only positive ones are taken; of equal ones that of the linear
  /// offered first.
  void offer(const std::string& site, const at::Tensor& scores) { offer(site, scores, count_); }
  /// The same, where of this linear at most `most` are wanted.
  void offer(const std::string& site, const at::Tensor& scores, int64_t most);

  /// The highest of what was offered.
  WeightPlaces take();

  /// Memory that is taken at the most where `count` are wanted, of linears of `largest` weights.
  static int64_t bytes(int64_t count, int64_t largest);

 private:
  void keep_highest();

  int64_t count_;
  int64_t held_ = 0;
  float floor_ = 0;  ///< scores up to this one come too late
  std::vector<std::string> sites_;
  std::vector<at::Tensor> scores_, places_;  // by site
};

}  // namespace ptq::detail
