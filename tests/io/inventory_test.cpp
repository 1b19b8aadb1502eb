#include "ptq/io/inventory.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ptq {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MapSource : public TensorSource {
 public:
  explicit MapSource(std::map<std::string, at::Tensor> tensors) : tensors_(std::move(tensors)) {}
  bool contains(const std::string& name) const override { return tensors_.count(name) > 0; }
  at::Tensor tensor(const std::string& name) const override { return tensors_.at(name); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& entry : tensors_)
      names.push_back(entry.first);
    return names;
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

std::map<std::string, at::Tensor> input_tensors() {
  return {{"embed.weight", at::arange(6)},
          {"layers.0.q.weight", at::ones({2, 2})},
          {"layers.0.q.bias", at::ones({2})}};
}

std::map<std::string, at::Tensor> output_tensors() {
  return {{"embed.weight", at::arange(6)},
          {"layers.0.q.weight_packed", at::ones({2, 1}, at::kInt)},
          {"layers.0.q.bias", at::ones({2}, at::kHalf)}};
}

std::vector<std::string> differences(const std::map<std::string, at::Tensor>& output) {
  return inventory_differences(MapSource(input_tensors()), MapSource(output), {"layers.0.q"});
}

TEST(Inventory, AQuantizedCopyDoesNotDiffer) {
  EXPECT_THAT(differences(output_tensors()), IsEmpty());
}

TEST(Inventory, NamesAMissingTensor) {
  auto output = output_tensors();
  output.erase("embed.weight");
  EXPECT_THAT(differences(output),
              ElementsAre(HasSubstr("\"embed.weight\" of the input is missing")));
  output = output_tensors();
  output.erase("layers.0.q.bias");
  EXPECT_THAT(differences(output), ElementsAre(HasSubstr("\"layers.0.q.bias\"")));
}

TEST(Inventory, NamesAChangedTensor) {
  auto output = output_tensors();
  output["embed.weight"] = at::arange(6).flip(0);
  EXPECT_THAT(differences(output), ElementsAre(HasSubstr("have changed")));
  output["embed.weight"] = at::arange(6).view({2, 3});
  EXPECT_THAT(differences(output), ElementsAre(HasSubstr("was Long [6] and is Long [2,3]")));
  output["embed.weight"] = at::arange(6).to(at::kInt);
  EXPECT_THAT(differences(output), ElementsAre(HasSubstr("is Int [6]")));
}

TEST(Inventory, AllowsOtherValuesWhereTheyAreExpectedOnly) {
  auto output = output_tensors();
  output["embed.weight"] = at::arange(6).flip(0);
  const auto found = [&](const std::set<std::string>& revalued) {
    return inventory_differences(MapSource(input_tensors()), MapSource(output), {"layers.0.q"},
                                 revalued);
  };
  EXPECT_THAT(found({"embed.weight"}), IsEmpty());
  EXPECT_THAT(found({"other"}), ElementsAre(HasSubstr("have changed")));
  output["embed.weight"] = at::arange(6).view({2, 3});
  EXPECT_THAT(found({"embed.weight"}), ElementsAre(HasSubstr("was Long [6]")));
}

TEST(Inventory, NamesAnExtraTensor) {
  auto output = output_tensors();
  output["layers.0.k.weight_packed"] = at::ones({1});
  EXPECT_THAT(differences(output),
              ElementsAre(HasSubstr("\"layers.0.k.weight_packed\" is not in")));
}

TEST(Inventory, NamesALinearOfWhichNothingIsStored) {
  auto output = output_tensors();
  output.erase("layers.0.q.weight_packed");
  output.erase("layers.0.q.bias");
  EXPECT_THAT(differences(output),
              ElementsAre(HasSubstr("bias"), HasSubstr("nothing is stored for the quantized")));
}

TEST(Inventory, APrefixEndsAtADot) {
  auto output = output_tensors();
  output["layers.0.qq.scale"] = at::ones({1});
  EXPECT_THAT(differences(output), ElementsAre(HasSubstr("layers.0.qq.scale")));
}

}  // namespace
}  // namespace ptq
