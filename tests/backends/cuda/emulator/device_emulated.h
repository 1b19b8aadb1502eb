#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "device.h"
#include "emulator/emulator.h"
#include "emulator/instructions.h"

// The functions of device.h on the emulated block.  Where the instruction needs all threads of a
// warp or block, the caller's line tells apart the places where they wait.
namespace ptq::cuda::gpu {

inline int thread_index() {
  return emulator::place().thread;
}
inline int block_index_x() {
  return emulator::place().block_x;
}
inline int block_index_y() {
  return emulator::place().block_y;
}
inline int grid_size_x() {
  return emulator::place().grid_x;
}

inline void sync_threads(int site = __builtin_LINE()) {
  emulator::barrier(site);
}
inline void sync_warp(int site = __builtin_LINE()) {
  emulator::warp_barrier(site);
}
inline void fence() {
  emulator::pause();
}
inline int atomic_add(int* address, int value) {
  emulator::pause();
  const int old = *address;
  *address += value;
  return old;
}

inline uint32_t shared_memory() {
  return 0;
}
inline uint32_t load_shared(uint32_t address) {
  uint32_t value = 0;
  emulator::shared_read(address, sizeof value, &value);
  return value;
}
inline Word4 load_shared4(uint32_t address) {
  Word4 value;
  emulator::shared_read(address, sizeof value, &value);
  return value;
}
inline void store_shared(uint32_t address, uint32_t value) {
  emulator::shared_write(address, sizeof value, &value);
}
inline float load_shared_float(uint32_t address) {
  float value = 0;
  emulator::shared_read(address, sizeof value, &value);
  return value;
}
inline void store_shared_float(uint32_t address, float value) {
  emulator::shared_write(address, sizeof value, &value);
}

inline void copy_async(uint32_t to, const void* from, bool valid) {
  emulator::copy_async(to, from, valid);
}
inline uint64_t streaming_policy() {
  return 0;
}
inline void copy_async_streaming(uint32_t to, const void* from, bool valid, uint64_t) {
  emulator::copy_async(to, from, valid);
}
inline void copy_async_word(uint32_t to, const void* from, bool valid) {
  emulator::copy_async(to, from, valid, 4);
}
inline void commit_copies() {
  emulator::commit_copies();
}
template <int kPending>
void wait_copies() {
  emulator::wait_copies(kPending);
}

inline void load_matrices4(uint32_t (&matrix)[4], uint32_t row_address,
                           int site = __builtin_LINE()) {
  emulator::load_matrices(matrix, 4, row_address, site);
}
inline void load_matrices2(uint32_t (&matrix)[2], uint32_t row_address,
                           int site = __builtin_LINE()) {
  emulator::load_matrices(matrix, 2, row_address, site);
}
template <class T>
void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  int site = __builtin_LINE()) {
  emulator::multiply_add(T::kNumber, sum, a, b, site);
}
template <class T>
uint32_t fused_multiply_add(uint32_t a, uint32_t b, uint32_t c) {
  return emulator::fused_multiply_add(T::kNumber, a, b, c);
}
inline float fused_multiply_add(float a, float b, float c) {
  return std::fmaf(a, b, c);
}
inline float as_float(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t mask_or(uint32_t value, uint32_t mask, uint32_t bits) {
  return (value & mask) | bits;
}
template <class T>
uint16_t round_to(float value) {
  return encode(T::kNumber, value);
}
template <class T>
float widen(uint16_t value) {
  return decode(T::kNumber, value);
}
inline float shuffle_xor(float value, int mask, int site = __builtin_LINE()) {
  return emulator::shuffle_xor(value, mask, site);
}
inline Word4 load_constant4(const void* address) {
  Word4 value;
  std::memcpy(&value, address, sizeof value);
  return value;
}
template <class Value>
Value load_constant(const Value* address) {
  return *address;
}
inline float load_global_float(const float* address) {
  return *address;
}

}  // namespace ptq::cuda::gpu
