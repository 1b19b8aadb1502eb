#include "context.h"

#include <algorithm>

#include "devices.h"

namespace ptq::cuda {

const Kernels& kernels_of(Number number) {
  return number == Number::kFp16 ? kernels_fp16() : kernels_bf16();
}

}  // namespace ptq::cuda

using ptq::cuda::check;
using ptq::cuda::Failure;
using ptq::cuda::kernel_view;

int64_t W4a16Layer::bytes() const {
  int64_t sum = 0;
  for (const auto* buffer : {&codes, &scales, &zeros, &order, &position, &first_piece, &piece_begin,
                             &sparse_positions, &sparse_values, &dense}) {
    sum += static_cast<int64_t>(buffer->bytes());
  }
  return sum;
}

W4a16Context::W4a16Context(int device_index)
    : device(device_index), capability(ptq::cuda::check_device(device)) {
  select();
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
        "asking for the device");
  ptq::cuda::kernels_fp16().prepare_device();
  ptq::cuda::kernels_bf16().prepare_device();
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
}

W4a16Context::~W4a16Context() {
  cudaSetDevice(device);
  cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
}

void W4a16Context::select() const {
  check(cudaSetDevice(device), "selecting the device");
}

std::unique_ptr<W4a16Layer> W4a16Context::upload(const W4a16Weight& weight) {
  select();
  auto layer = std::make_unique<W4a16Layer>();
  layer->device = device;
  layer->number = static_cast<ptq::cuda::Number>(weight.number);
  layer->view = kernel_view(weight);
  ptq::cuda::WeightView& view = layer->view;  // of host memory until all is copied
  const size_t scales = weight.scale_rows * weight.padded_n;
  const size_t values = weight.sparse_values_count;
  view.codes = reinterpret_cast<const ptq::cuda::Word4*>(
      layer->codes.upload(weight.codes, weight.padded_n * weight.padded_k / 8));
  view.scales = layer->scales.upload(weight.scales, scales);
  view.zeros = layer->zeros.upload(weight.zeros, scales / ptq::cuda::kChannelGroups);
  view.order = layer->order.upload(weight.order, weight.padded_k);
  view.position = layer->position.upload(weight.position, weight.padded_k);
  view.first_piece = layer->first_piece.upload(weight.first_piece, weight.n + 1);
  view.piece_begin = layer->piece_begin.upload(weight.piece_begin, weight.pieces + 1);
  view.sparse_positions = layer->sparse_positions.upload(weight.sparse_positions, values);
  view.sparse_values = layer->sparse_values.upload(weight.sparse_values, values);
  // A copy from pageable memory may still be under way, and our stream does not wait for it.
  check(cudaStreamSynchronize(nullptr), "copying the weight to the device");
  return layer;
}

void W4a16Context::prepare(W4a16Layer& layer, int64_t rows, int32_t path) {
  select();
  W4a16Product product{};
  product.m = rows;
  product.path = path;
  if (layer.dense.bytes() != 0 || takes_small(layer, product)) return;
  const ptq::cuda::WeightView& view = layer.view;
  uint16_t* out = layer.dense.reserve<uint16_t>(int64_t{view.n} * view.padded_k);
  try {
    dequantize(layer, 0, view.padded_n / ptq::cuda::kStripN, out);
  } catch (...) {
    layer.dense.clear();  // what is there counts as the weight
    throw;
  }
}

void W4a16Context::dequantize(const W4a16Layer& layer, int first_strip, int strips, uint16_t* out) {
  using ptq::cuda::kStripN;
  const ptq::cuda::Kernels& kernels = ptq::cuda::kernels_of(layer.number);
  kernels.dequantize({layer.view, first_strip, out}, strips, stream);
  if (layer.view.first_piece == nullptr) return;
  const int channels = std::min(strips * kStripN, layer.view.n - first_strip * kStripN);
  kernels.inject({layer.view, first_strip * kStripN, channels, out}, stream);
}

void W4a16Context::load_blas() {
  if (blas_ != nullptr) return;
  if (no_blas_) throw *no_blas_;  // looking for the library again takes longer than a product
  try {
    blas_ = std::make_unique<ptq::cuda::CublasLt>();
  } catch (const Failure& failure) {
    if (failure.status == kW4a16Unavailable) no_blas_ = failure;
    throw;
  }
}
