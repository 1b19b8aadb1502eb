#include "weight_case.h"

#include <algorithm>
#include <numeric>

namespace ptq::cuda {

std::string CaseOptions::name() const {
  return std::to_string(out) + "x" + std::to_string(in) + " g" + std::to_string(group_size) +
         (zero_point ? " zero-point" : "") + (permuted ? " permuted" : "") +
         (sparse ? " sparse" : "") + (number == Number::kFp16 ? " fp16" : " bf16");
}

WeightCase::WeightCase(const CaseOptions& case_options) : options(case_options) {
  std::mt19937 random(options.seed);
  const int64_t length = options.group_size == -1 ? options.in : options.group_size;
  groups = (options.in + length - 1) / length;
  std::normal_distribution<float> normal(0, 0.01F);
  const auto nibble = [&] { return static_cast<uint8_t>(random() % 16); };
  for (int64_t i = 0; i < options.out * options.in; ++i) {
    codes.push_back(nibble());
  }
  for (int64_t i = 0; i < options.out * groups; ++i) {
    float scale = 0;
    while (scale == 0) {
      scale = decode(options.number, encode(options.number, normal(random)));
    }
    scales.push_back(scale);
    if (options.zero_point) zeros.push_back(nibble());
  }
  for (int64_t i = 0; i < options.in; ++i) {
    group_of.push_back(static_cast<int32_t>(i / length));
  }
  if (options.permuted) std::shuffle(group_of.begin(), group_of.end(), random);
  if (options.sparse) make_sparse(random);
}

void WeightCase::make_sparse(std::mt19937& random) {
  std::normal_distribution<float> normal(0, 1);
  row_begin.push_back(0);
  for (int64_t channel = 0; channel < options.out; ++channel) {
    // Every fifth row is empty, every seventh nearly full: several pieces.
    const uint32_t chance = channel % 5 == 0 ? 0 : channel % 7 == 0 ? 90 : 3;
    for (int64_t i = 0; i < options.in; ++i) {
      if (random() % 100 >= chance) continue;
      columns.push_back(static_cast<int32_t>(i));
      values.push_back(normal(random));
    }
    row_begin.push_back(static_cast<int32_t>(columns.size()));
  }
}

WeightArrays WeightCase::arrays() const {
  WeightArrays view;
  view.out = options.out;
  view.in = options.in;
  view.groups = groups;
  view.group_size = options.group_size;
  view.codes = codes.data();
  view.scales = scales.data();
  view.zeros = options.zero_point ? zeros.data() : nullptr;
  view.group_of = options.permuted ? group_of.data() : nullptr;
  view.row_begin = options.sparse ? row_begin.data() : nullptr;
  view.columns = columns.data();
  view.values = values.data();
  return view;
}

uint16_t WeightCase::rounded(int64_t channel, int64_t input) const {
  for (int64_t i = options.sparse ? row_begin[channel] : 0;
       i < (options.sparse ? row_begin[channel + 1] : 0); ++i) {
    if (columns[i] == input) return encode(options.number, values[i]);
  }
  const int64_t place = channel * groups + group_of[input];
  const int zero = options.zero_point ? zeros[place] : 8;
  // 4 + 11 bits: the product is exact in float, so that it is rounded once.
  const float step = static_cast<float>(codes[channel * options.in + input] - zero);
  return encode(options.number, step * scales[place]);
}

std::vector<float> WeightCase::dense() const {
  std::vector<float> weight;
  for (int64_t channel = 0; channel < options.out; ++channel) {
    for (int64_t input = 0; input < options.in; ++input) {
      weight.push_back(decode(options.number, rounded(channel, input)));
    }
  }
  return weight;
}

std::vector<CaseOptions> all_cases() {
  std::vector<CaseOptions> cases;
  const int64_t shapes[4][2] = {{64, 64}, {70, 200}, {3, 136}, {129, 257}};
  for (const int64_t group_size : {32, 64, 128, -1}) {
    for (int flags = 0; flags < 16; ++flags) {
      CaseOptions options;
      const auto count = static_cast<uint32_t>(cases.size());
      options.out = shapes[(count + count / 4) % 4][0];
      options.in = shapes[(count + count / 4) % 4][1];
      options.group_size = group_size;
      options.zero_point = (flags & 1) != 0;
      options.permuted = (flags & 2) != 0;
      options.sparse = (flags & 4) != 0;
      options.number = (flags & 8) != 0 ? Number::kBf16 : Number::kFp16;
      options.seed = 100 + count;
      cases.push_back(options);
    }
  }
  return cases;
}

}  // namespace ptq::cuda
