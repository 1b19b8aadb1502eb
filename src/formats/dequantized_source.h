#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ptq/formats/format.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/io/checkpoint.h"

namespace ptq {

/// The tensors a full-precision model of a quantized checkpoint would have: "<site>.weight" is
/// dequantized on demand and gets its single weights, the packed tensors are hidden, everything
/// else passes through.
class DequantizedSource : public TensorSource {
 public:
  /// `plan`: the quantized sites among `sites`; `sparse` (null: none): their single weights.
  DequantizedSource(std::shared_ptr<const TensorSource> packed,
                    std::shared_ptr<const CheckpointFormat> layout, const QuantPlan& plan,
                    const std::vector<LinearSite>& sites,
                    std::shared_ptr<const SparsePart> sparse = nullptr);

  bool contains(const std::string& name) const override;
  /// The quantized weight behind "<site>.weight", nothing for any other tensor.  Throws what
  /// CheckpointFormat::unpack throws.
  std::optional<QuantizedTensor> quantized(const std::string& name) const;
  /// The single weights of "<site>.weight", nothing if it has none.  Throws as SparsePart::find.
  std::optional<SparseWeight> sparse(const std::string& name) const;

  /// "<site>.weight" is float32 [out, in]; throws what CheckpointFormat::unpack and
  /// SparsePart::find throw.
  at::Tensor tensor(const std::string& name) const override;
  std::vector<std::string> names() const override;
  void release(const std::string& name) const override;

 private:
  struct Quantized {
    LinearSite site;
    QuantScheme scheme;
    std::vector<std::string> packed;  ///< the tensors it is made from
  };
  std::shared_ptr<const TensorSource> packed_;
  std::shared_ptr<const CheckpointFormat> layout_;
  std::shared_ptr<const SparsePart> sparse_;
  std::map<std::string, Quantized> quantized_;  ///< by "<site>.weight"
  std::vector<std::string> names_;
};

}  // namespace ptq
