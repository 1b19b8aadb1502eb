#include "fake_device.h"

#include <algorithm>

#include <cuda_runtime_api.h>

#include "cublas_lt.h"

namespace ptq::cuda::fake {

Device& device() {
  static Device the_device;
  return the_device;
}

void Device::queue(const Work& work) {
  if (recording) {
    recorded.push_back(work);
    return;
  }
  device_seconds = std::max(device_seconds, host_seconds) + work.seconds;
  ++count[work.name];
}

bool Device::forbidden_while_recording() {
  spoilt = spoilt || recording;
  return recording;
}

void Device::wait(double until) {
  host_seconds = std::max(host_seconds, until);
}

}  // namespace ptq::cuda::fake

using ptq::cuda::fake::device;
using ptq::cuda::fake::Work;

struct CUevent_st {
  double seconds = 0;
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

cudaError_t queue_now(const char* name, double seconds) {
  device().host_seconds += ptq::cuda::fake::kLaunchSeconds;
  device().queue({name, seconds});
  return cudaSuccess;
}

cudaError_t wait_for(double until) {
  if (device().forbidden_while_recording()) return cudaErrorStreamCaptureUnsupported;
  device().wait(until);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = 0;
  if (attribute == cudaDevAttrComputeCapabilityMajor) *value = 9;
  if (attribute == cudaDevAttrMultiProcessorCount) *value = ptq::cuda::fake::kProcessors;
  if (attribute == cudaDevAttrL2CacheSize) *value = ptq::cuda::fake::kCacheBytes;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  const std::string name = "a device without memory";
  std::copy(name.begin(), name.end(), properties->name);
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorStreamCaptureUnsupported ? "not while a graph is recorded" : "failed";
}

cudaError_t cudaMalloc(void** address, size_t bytes) {
  if (device().forbidden_while_recording()) return cudaErrorStreamCaptureUnsupported;
  static uintptr_t next = 4096;
  *address = reinterpret_cast<void*>(next);
  device().memory[next] = bytes;
  next += (bytes + 4096) / 4096 * 4096;
  return cudaSuccess;
}
cudaError_t cudaFree(void* address) {
  if (address == nullptr) return cudaSuccess;
  if (device().forbidden_while_recording()) return cudaErrorStreamCaptureUnsupported;
  device().memory.erase(reinterpret_cast<uintptr_t>(address));
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void*, const void*, size_t, cudaMemcpyKind) {
  return wait_for(device().device_seconds);
}
cudaError_t cudaMemcpyAsync(void*, const void*, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return queue_now("copy", 2.0 * static_cast<double>(bytes) / ptq::cuda::fake::kBandwidth);
}
cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t) {
  return queue_now("clear", 0);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return wait_for(device().device_seconds);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = std::make_unique<CUevent_st>().release();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->seconds = std::max(device().device_seconds, device().host_seconds);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return wait_for(event->seconds);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(1e3 * (end->seconds - begin->seconds));
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  device().recording = true;
  device().spoilt = false;
  device().recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!device().recording) return cudaErrorIllegalState;
  device().recording = false;
  if (device().spoilt) return cudaErrorStreamCaptureInvalidated;
  auto made = std::make_unique<CUgraph_st>();
  made->work = device().recorded;
  *graph = made.release();
  ++device().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  auto copy = std::make_unique<CUgraphExec_st>();
  copy->work = graph->work;
  *made = copy.release();
  ++device().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  device().host_seconds += ptq::cuda::fake::kLaunchSeconds;
  for (const Work& work : graph->work) {
    device().queue(work);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --device().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  --device().graphs;
  return cudaSuccess;
}
