// The functions of libptq_cuda.so on the host, from the packed arrays and the documented layout
// alone (docs/cuda.md): what the backend `cuda` hands over is tested without a device.
#include "host_module.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "layout.h"
#include "number.h"
#include "w4a16_api.h"

struct W4a16Context {};

struct W4a16Layer {
  ptq::cuda::Number number = ptq::cuda::Number::kFp16;
  int64_t n = 0, k = 0;
  std::vector<float> weight;  ///< [n, k], rounded
  bool kept = false;          ///< … counts as dequantized until `forget`
};

namespace {

namespace cuda = ptq::cuda;
using ptq::cuda::decode;
using ptq::cuda::encode;
using ptq::cuda::Number;

std::string last_error_text;
std::atomic<int64_t> dequantizations = 0;
std::atomic<int64_t> dequantized_products = 0;

int32_t refuse(W4a16Status status, const std::string& text) {
  last_error_text = text;
  return status;
}

int32_t find_devices(int32_t* count, int32_t* first) {
  *count = 1;
  *first = ptq::host_module::kDevice;
  return kW4a16Ok;
}

int32_t check_device(int32_t device) {
  if (device != ptq::host_module::kDevice) return refuse(kW4a16Unavailable, "no such device");
  return kW4a16Ok;
}

int32_t create(int32_t device, W4a16Context** context) {
  if (const int32_t status = check_device(device); status != kW4a16Ok) return status;
  *context = std::make_unique<W4a16Context>().release();
  return kW4a16Ok;
}

void destroy(W4a16Context* context) {
  delete context;
}

float weight_at(const W4a16Weight& weight, int64_t channel, int64_t position) {
  const uint32_t word = weight.codes[cuda::code_word(position, channel, weight.padded_k)];
  const auto code = static_cast<int>(word >> cuda::code_shift(position, channel) & 15U);
  const int64_t row = position / cuda::kTileK >> weight.tile_shift;
  int zero = cuda::kSymmetricZero;
  if (weight.zeros != nullptr) {
    const int64_t words = weight.padded_n / cuda::kChannelGroups;
    const uint32_t packed = weight.zeros[row * words + cuda::zero_word(channel)];
    zero = static_cast<int>(packed >> cuda::zero_shift(channel) & 15U);
  }
  const auto number = static_cast<Number>(weight.number);
  const uint16_t scale = weight.scales[row * weight.padded_n + cuda::scale_slot(channel)];
  return decode(number, encode(number, double{decode(number, scale)} * (code - zero)));
}

int32_t upload(W4a16Context* /*context*/, const W4a16Weight* weight, W4a16Layer** layer) {
  if (weight->n == ptq::host_module::kOutOfMemoryOut)
    return refuse(kW4a16OutOfMemory, "the device is full");
  if (weight->n == ptq::host_module::kUnavailableOut)
    return refuse(kW4a16Unavailable, "the driver is gone");
  auto made = std::make_unique<W4a16Layer>();
  made->number = static_cast<Number>(weight->number);
  made->n = weight->n;
  made->k = weight->k;
  made->weight.resize(weight->n * weight->k);
  for (int64_t channel = 0; channel < weight->n; ++channel) {
    float* row = made->weight.data() + channel * weight->k;
    const auto input_at = [&](int64_t position) {
      return weight->order == nullptr ? position : weight->order[position];
    };
    for (int64_t position = 0; position < weight->padded_k; ++position)
      if (input_at(position) < weight->k)
        row[input_at(position)] = weight_at(*weight, channel, position);
    if (weight->first_piece == nullptr) continue;
    const int32_t begin = weight->piece_begin[weight->first_piece[channel]];
    const int32_t end = weight->piece_begin[weight->first_piece[channel + 1]];
    for (int32_t i = begin; i < end; ++i)
      row[input_at(weight->sparse_positions[i])] = decode(made->number, weight->sparse_values[i]);
  }
  *layer = made.release();
  return kW4a16Ok;
}

void release(W4a16Layer* layer) {
  delete layer;
}

int64_t layer_bytes(const W4a16Layer* layer) {
  return layer->n * layer->k;
}

bool takes_large(int64_t rows, int32_t path) {
  return path == kW4a16Large || (path == kW4a16Auto && rows >= ptq::host_module::kLargeRows);
}

int32_t prepare(W4a16Context* /*context*/, W4a16Layer* layer, int64_t rows, int32_t path) {
  if (layer->kept || !takes_large(rows, path)) return kW4a16Ok;
  if (layer->n == ptq::host_module::kNoRoomOut) return refuse(kW4a16OutOfMemory, "no room");
  layer->kept = true;
  ++dequantizations;
  return kW4a16Ok;
}

void forget(W4a16Layer* layer) {
  layer->kept = false;
}

int32_t multiply(W4a16Context* /*context*/, const W4a16Layer* layer, const W4a16Product* product) {
  if (product->m == ptq::host_module::kFailingRows) return refuse(kW4a16Failure, "a bad launch");
  if (product->x_is_float == 0 || product->y_is_float == 0 || product->on_host == 0 ||
      product->bias != nullptr)
    return refuse(kW4a16BadArgument, "only float32 in host memory, without bias");
  if (product->m == ptq::host_module::kTunedRows && product->tune == 0)
    return refuse(kW4a16Failure, "not tuned");
  if (!layer->kept && takes_large(product->m, product->path)) {
    ++dequantizations;
    ++dequantized_products;
  }
  for (int64_t row = 0; row < product->m; ++row) {
    const float* x = static_cast<const float*>(product->x) + row * product->x_stride;
    float* y = static_cast<float*>(product->y) + row * product->y_stride;
    std::vector<float> rounded(x, x + layer->k);
    for (float& value : rounded)
      value = decode(layer->number, encode(layer->number, value));
    for (int64_t channel = 0; channel < layer->n; ++channel) {
      float sum = 0;
      for (int64_t i = 0; i < layer->k; ++i)
        sum += rounded[i] * layer->weight[channel * layer->k + i];
      y[channel] = sum;
    }
  }
  return kW4a16Ok;
}

int32_t synchronize(W4a16Context* /*context*/) {
  return kW4a16Ok;
}

int32_t measure(W4a16Context* /*context*/, int32_t number, W4a16Rates* rates) {
  if (std::getenv(ptq::host_module::kWithoutCublas) != nullptr)
    return refuse(kW4a16Unavailable, "libcublasLt is not there");
  std::strcpy(rates->device, number == 0 ? "host, float16" : "host, bfloat16");
  rates->cache_bytes = ptq::host_module::kCacheBytes;
  rates->copy_bytes_per_second = ptq::host_module::kCopyRate;
  rates->flops_per_second = ptq::host_module::kMatrixRate;
  return kW4a16Ok;
}

int32_t time_products(W4a16Context* /*context*/, W4a16Timing* timing) {
  namespace host = ptq::host_module;
  const W4a16Layer& layer = *timing->layers[0];
  if (timing->m == host::kFailingRows) return refuse(kW4a16Failure, "a bad launch");
  if (timing->m == host::kTunedRows && timing->tune == 0) return refuse(kW4a16Failure, "not tuned");
  const std::set<const W4a16Layer*> distinct(timing->layers, timing->layers + timing->count);
  if (static_cast<int64_t>(distinct.size()) != timing->count ||
      timing->count * layer_bytes(&layer) <= 3 * host::kCacheBytes)
    return refuse(kW4a16Failure, "the weight stays in the cache");
  const bool large = takes_large(timing->m, timing->path);
  timing->packed_seconds = (large ? host::kLargeSeconds : host::kSmallSeconds) +
                           (timing->graph != 0 ? 0 : host::kLaunchSeconds);
  timing->dense_seconds = host::kDenseSeconds;
  return kW4a16Ok;
}

void* stream(const W4a16Context* /*context*/) {
  return nullptr;
}

// The formula of device_columns.h, a row after the other; its pointers are the host's here.
int32_t round_columns(int32_t device, void* stream, const ptq::DeviceColumns* columns) {
  const ptq::DeviceColumns& c = *columns;
  if (device != ptq::host_module::kDevice || stream != nullptr)
    return refuse(kW4a16Unavailable, "no such device");
  if (c.count > ptq::DeviceColumns::kMost) return refuse(kW4a16BadArgument, "too many columns");
  for (int64_t row = 0; row < c.rows; ++row) {
    float* miss = c.miss + row * c.in + c.first;
    for (int64_t k = 0; k < c.count; ++k) {
      const int64_t place = row * c.in + c.order[k], grid = row * c.groups + c.group[k];
      const auto zero = static_cast<float>(c.zero[grid]);
      float current = c.weight[place];
      if (c.update != nullptr) current += c.update[row * c.count + k];
      for (int64_t j = 0; j < k; ++j)
        current = std::fmaf(miss[j], c.feedback[j * c.in + k], current);
      const float steps =
          std::nearbyint(std::clamp(current * (1.0F / c.scale[grid]), -zero, c.top - zero));
      c.q[place] = static_cast<uint8_t>(steps + zero);
      miss[k] = c.weight[place] - steps * c.scale[grid];
      const float error = current - steps * c.scale[grid];
      c.error[row] += error * error * c.pivot[k] - miss[k] * miss[k] * c.added[k];
    }
  }
  return kW4a16Ok;
}

const char* last_error() {
  return last_error_text.c_str();
}

}  // namespace

const W4a16Api* ptq_w4a16_api() {
  static const W4a16Api kApi = {kW4a16Version, find_devices, check_device, create,        destroy,
                                upload,        release,      layer_bytes,  prepare,       forget,
                                multiply,      synchronize,  measure,      time_products, stream,
                                round_columns, last_error};
  return &kApi;
}

extern "C" [[gnu::visibility("default")]] int64_t ptq_host_module_dequantizations() {
  return dequantizations;
}

extern "C" [[gnu::visibility("default")]] int64_t ptq_host_module_dequantized_products() {
  return dequantized_products;
}
