#include "columns_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "number.h"

namespace ptq::cuda {

std::string ColumnsOptions::name() const {
  return std::to_string(rows) + "x" + std::to_string(in) + " columns " + std::to_string(first) +
         "+" + std::to_string(count) + " g" + std::to_string(group_size) + " " +
         std::to_string(bits) + " bits" + (zero_point ? " zero-point" : "") +
         (permuted ? " permuted" : "");
}

ColumnsCase::ColumnsCase(const ColumnsOptions& case_options) : options(case_options) {
  const auto [rows, in, first, count, group_size] =
      std::make_tuple(options.rows, options.in, options.first, options.count, options.group_size);
  std::mt19937 random(options.seed);
  std::normal_distribution<float> normal(0, 1);
  std::uniform_real_distribution<float> positive(0.1F, 2);
  groups = (in + group_size - 1) / group_size;
  std::vector<int64_t> places(in);
  std::iota(places.begin(), places.end(), 0);
  if (options.permuted) std::shuffle(places.begin(), places.end(), random);
  order.assign(places.begin() + first, places.begin() + first + count);
  for (const int64_t place : order) {
    group.push_back(static_cast<int32_t>(place / group_size));
    pivot.push_back(positive(random));
    added.push_back(positive(random) * 0.01F);
  }
  const auto draw = [&](int64_t values, float size) {
    std::vector<float> drawn(values);
    for (float& value : drawn) {
      value = normal(random) * size;
    }
    return drawn;
  };
  weight = draw(rows * in, 1);
  if (first > 0) update = draw(rows * count, 0.3F);
  feedback.assign(in * in, NAN);
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t k = j + 1; k < count; ++k) {
      feedback[j * in + k] = normal(random) * 0.2F;
    }
  }
  const int levels = 1 << options.bits;
  for (int64_t i = 0; i < rows * groups; ++i) {
    // Negative ones, too; some rows are cut off at both ends of the grid.
    const float step = normal(random) * 4 / static_cast<float>(levels);
    scale.push_back(decode(Number::kFp16, encode(Number::kFp16, step == 0 ? 1 : step)));
    zero.push_back(static_cast<uint8_t>(options.zero_point ? random() % levels : levels / 2));
  }
  q.assign(rows * in, 255);
  miss.assign(rows * in, NAN);
  error.assign(rows, kErrorBefore);
}

DeviceColumns ColumnsCase::view() {
  DeviceColumns view{};
  view.weight = weight.data();
  view.update = update.empty() ? nullptr : update.data();
  view.feedback = feedback.data();
  view.rows = options.rows;
  view.in = options.in;
  view.first = options.first;
  view.count = options.count;
  view.order = order.data();
  view.group = group.data();
  view.pivot = pivot.data();
  view.added = added.data();
  view.scale = scale.data();
  view.zero = zero.data();
  view.groups = groups;
  view.top = static_cast<float>((1 << options.bits) - 1);
  view.q = q.data();
  view.miss = miss.data();
  view.error = error.data();
  return view;
}

float ColumnsCase::value_at(int64_t row, int64_t i) const {
  const int64_t grid = row * groups + group[i];
  const int steps = q[row * options.in + order[i]] - zero[grid];
  return static_cast<float>(steps) * scale[grid];
}

void round_columns_plainly(ColumnsCase& columns) {
  const ColumnsOptions& options = columns.options;
  for (int64_t row = 0; row < options.rows; ++row) {
    float errors = 0;
    for (int64_t k = 0; k < options.count; ++k) {
      const int64_t grid = row * columns.groups + columns.group[k];
      float current = columns.weight_at(row, k);
      if (!columns.update.empty()) current += columns.update[row * options.count + k];
      for (int64_t j = 0; j < k; ++j) {
        current = std::fmaf(columns.miss[row * options.in + options.first + j],
                            columns.feedback[j * options.in + k], current);
      }
      const auto zero = static_cast<float>(columns.zero[grid]);
      const float top = static_cast<float>((1 << options.bits) - 1);
      const float steps =
          std::nearbyint(std::clamp(current * (1.0F / columns.scale[grid]), -zero, top - zero));
      columns.q[row * options.in + columns.order[k]] = static_cast<uint8_t>(steps + zero);
      columns.miss[row * options.in + options.first + k] =
          columns.weight_at(row, k) - columns.value_at(row, k);
      const float error = current - columns.value_at(row, k);
      const float miss = columns.miss[row * options.in + options.first + k];
      errors = std::fmaf(error * error, columns.pivot[k], errors);
      errors = std::fmaf(miss * miss, -columns.added[k], errors);
    }
    columns.error[row] += errors;
  }
}

std::vector<ColumnsOptions> all_columns() {
  return {{1, 16, 0, 1, 16, 4, false, false, 1},
          {3, 20, 0, 20, 7, 4, true, false, 2},
          {64, 128, 0, 128, 32, 4, false, false, 3},
          {65, 144, 128, 16, 64, 4, true, false, 4},
          {130, 300, 128, 128, 32, 4, true, true, 5},
          {63, 200, 0, 128, 200, 3, false, true, 6},
          {67, 171, 130, 41, 57, 8, true, true, 7},
          {129, 96, 64, 32, 16, 2, true, false, 8},
          // So many codes that some hang on the last bit of their sums.
          {1024, 128, 0, 128, 128, 8, true, false, 9}};
}

}  // namespace ptq::cuda
