#include "prepared_model.h"

#include <map>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/calib/store.h"
#include "ptq/io/safetensors.h"

namespace ptq::detail {
namespace {

/// The tensors of a checkpoint, some of them from other files.
class PreparedSource : public TensorSource {
 public:
  PreparedSource(std::shared_ptr<const Checkpoint> original, std::vector<SafetensorsFile> blocks)
      : original_(std::move(original)), blocks_(std::move(blocks)) {
    for (const SafetensorsFile& block : blocks_)
      for (const auto& entry : block.entries())
        prepared_[entry.first] = &block;
  }

  bool contains(const std::string& name) const override { return original_->contains(name); }
  at::Tensor tensor(const std::string& name) const override {
    const auto found = prepared_.find(name);
    return found == prepared_.end() ? original_->tensor(name) : found->second->tensor(name);
  }
  std::vector<std::string> names() const override { return original_->names(); }
  void release(const std::string& name) const override {
    if (prepared_.count(name) == 0) original_->release(name);
  }

 private:
  std::shared_ptr<const Checkpoint> original_;
  std::vector<SafetensorsFile> blocks_;
  std::map<std::string, const SafetensorsFile*> prepared_;
};

}  // namespace

std::unique_ptr<CausalLM> open_prepared(const OpenedModel& original,
                                        const std::filesystem::path& prepared) {
  std::vector<SafetensorsFile> blocks;
  for (int64_t index = 0; index < original.model->config().blocks; ++index)
    blocks.emplace_back(stats_block_file(prepared, index));
  WeightSource weights;
  weights.device = original.model->device();
  weights.tensors = std::make_shared<PreparedSource>(original.checkpoint, std::move(blocks));
  return open_model(std::move(weights), original.checkpoint->config());
}

}  // namespace ptq::detail
