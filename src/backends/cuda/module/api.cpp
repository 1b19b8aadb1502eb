#include <exception>
#include <new>
#include <string>
#include <vector>

#include "columns.h"
#include "context.h"
#include "devices.h"
#include "w4a16_api.h"

// The border of the module: no exception crosses it.
namespace {

thread_local std::string last_error_text;

template <class Body>
int32_t guarded(Body&& body) {
  try {
    body();
    return kW4a16Ok;
  } catch (const ptq::cuda::Failure& failure) {
    last_error_text = failure.what();
    return failure.status;
  } catch (const std::bad_alloc&) {
    last_error_text = "out of host memory";
    return kW4a16OutOfMemory;
  } catch (const std::exception& error) {
    last_error_text = error.what();
    return kW4a16Failure;
  }
}

int32_t find_devices(int32_t* count, int32_t* first) {
  return guarded([&] {
    const std::vector<int> able = ptq::cuda::able_devices();
    *count = static_cast<int32_t>(able.size());
    *first = able.front();
  });
}

int32_t check_device(int32_t device) {
  return guarded([&] { ptq::cuda::check_device(device); });
}

int32_t create(int32_t device, W4a16Context** context) {
  return guarded([&] { *context = std::make_unique<W4a16Context>(device).release(); });
}

void destroy(W4a16Context* context) {
  delete context;
}

int32_t upload(W4a16Context* context, const W4a16Weight* weight, W4a16Layer** layer) {
  return guarded([&] { *layer = context->upload(*weight).release(); });
}

void release(W4a16Layer* layer) {
  delete layer;
}

int64_t layer_bytes(const W4a16Layer* layer) {
  return layer->bytes();
}

int32_t prepare(W4a16Context* context, W4a16Layer* layer, int64_t rows, int32_t path) {
  return guarded([&] { context->prepare(*layer, rows, path); });
}

void forget(W4a16Layer* layer) {
  layer->dense.clear();
}

int32_t multiply(W4a16Context* context, const W4a16Layer* layer, const W4a16Product* product) {
  return guarded([&] { context->multiply(*layer, *product); });
}

int32_t synchronize(W4a16Context* context) {
  return guarded([&] { ptq::cuda::check(cudaStreamSynchronize(context->stream), "computing"); });
}

int32_t measure(W4a16Context* context, int32_t number, W4a16Rates* rates) {
  return guarded([&] { context->measure(number, *rates); });
}

int32_t time_products(W4a16Context* context, W4a16Timing* timing) {
  return guarded([&] { context->time_products(*timing); });
}

void* stream(const W4a16Context* context) {
  return context->stream;
}

int32_t round_columns(int32_t device, void* stream, const ptq::DeviceColumns* columns) {
  return guarded(
      [&] { ptq::cuda::round_columns(device, static_cast<cudaStream_t>(stream), *columns); });
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
