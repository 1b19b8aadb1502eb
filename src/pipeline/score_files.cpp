#include "score_files.h"

#include <array>
#include <cstdio>

#include <ATen/ATen.h>

#include "ptq/io/file.h"
#include "ptq/io/safetensors.h"

namespace ptq::detail {

void write_scores_csv(const std::filesystem::path& file, const std::vector<std::string>& labels,
                      const std::vector<LinearScores>& scores) {
  std::string text = "linear,channel";
  for (const std::string& label : labels)
    text += "," + label;
  text += "\n";
  std::array<char, 32> number{};
  for (const LinearScores& linear : scores) {
    const int64_t channels = linear.by_label.begin()->second.size(0);
    std::vector<const double*> columns;
    for (const std::string& label : labels)
      columns.push_back(linear.by_label.at(label).data_ptr<double>());
    for (int64_t j = 0; j < channels; ++j) {
      text += linear.site + "," + std::to_string(j);
      for (const double* column : columns) {
        std::snprintf(number.data(), number.size(), ",%.9g", column[j]);
        text += number.data();
      }
      text += "\n";
    }
  }
  write_file_atomically(file, text);
}

void write_scores_tensors(const std::filesystem::path& file,
                          const std::vector<LinearScores>& scores,
                          const std::map<std::string, at::Tensor>& weights) {
  std::map<std::string, at::Tensor> tensors = weights;
  for (const LinearScores& linear : scores)
    for (const auto& [label, values] : linear.by_label)
      tensors[linear.site + "." + label] = values.to(at::kFloat);
  write_safetensors(file, tensors);
}

}  // namespace ptq::detail
