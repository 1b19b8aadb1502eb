#include "shared_memory.h"

#include <cstring>
#include <string>

#include "emulator.h"

namespace ptq::cuda::emulator {
namespace {

constexpr uint8_t kPoison = 0xFF;  // NaN in every floating-point format

bool same_warp(const Moment& a, const Moment& b) {
  return a.thread / 32 == b.thread / 32;
}

// Whether what happened at `then` is ordered before `now`.
bool before(const Moment& then, const Moment& now) {
  return then.thread < 0 || then.thread == now.thread || then.block_epoch < now.block_epoch ||
         (same_warp(then, now) && then.warp_epoch < now.warp_epoch);
}

[[noreturn]] void fail(const Moment& now, uint32_t address, const std::string& what) {
  throw Violation("thread " + std::to_string(now.thread) + ", shared address " +
                  std::to_string(address) + ": " + what);
}

std::string by(const Moment& other) {
  return " thread " + std::to_string(other.thread) + " without a barrier between them";
}

}  // namespace

SharedMemory::SharedMemory(int bytes) : bytes_(bytes, kPoison), words_(bytes / 4) {}

SharedMemory::Word& SharedMemory::check_bounds(const Moment& now, uint32_t address, int bytes) {
  if (address % bytes != 0) fail(now, address, "not aligned to " + std::to_string(bytes));
  if (address + bytes > bytes_.size()) {
    fail(now, address, "past the end at " + std::to_string(bytes_.size()));
  }
  return words_[address / 4];
}

void SharedMemory::read(const Moment& now, uint32_t address, int bytes, void* to) {
  Word* word = &check_bounds(now, address, bytes);
  for (int i = 0; i < bytes / 4; ++i, ++word) {
    if (word->content == Content::kNothing) fail(now, address, "reads what was never written");
    if (word->content == Content::kOnItsWay) {
      fail(now, address, "reads what an asynchronous copy may not have brought yet");
    }
    if (!before(word->writer, now))
      fail(now, address, "reads what was written by" + by(word->writer));
    if (word->readers[0].thread >= 0 && !same_warp(word->readers[0], now)) {
      word->readers[1] = word->readers[0];
    }
    word->readers[0] = now;
  }
  std::memcpy(to, &bytes_[address], bytes);
}

void SharedMemory::check_write(const Moment& now, const Word& word, uint32_t address) const {
  if (word.content == Content::kOnItsWay) {
    fail(now, address, "writes where an asynchronous copy is on its way");
  }
  if (!before(word.writer, now))
    fail(now, address, "overwrites what was written by" + by(word.writer));
  for (const Moment& reader : word.readers) {
    if (!before(reader, now)) fail(now, address, "overwrites what is read by" + by(reader));
  }
}

void SharedMemory::write(const Moment& now, uint32_t address, int bytes, const void* from) {
  Word* word = &check_bounds(now, address, bytes);
  for (int i = 0; i < bytes / 4; ++i, ++word) {
    check_write(now, *word, address);
    word->content = Content::kValue;
    word->writer = now;
  }
  std::memcpy(&bytes_[address], from, bytes);
}

void SharedMemory::begin_copy(const Moment& now, uint32_t address, int bytes) {
  Word* word = &check_bounds(now, address, bytes);
  for (int i = 0; i < bytes / 4; ++i, ++word) {
    check_write(now, *word, address);
    word->content = Content::kOnItsWay;
    word->writer = now;
  }
  std::memset(&bytes_[address], kPoison, bytes);
}

void SharedMemory::end_copy(const Moment& now, uint32_t address, int bytes, const void* from) {
  Word* word = &check_bounds(now, address, bytes);
  for (int i = 0; i < bytes / 4; ++i, ++word) {
    word->content = Content::kValue;
    word->writer = now;
  }
  std::memcpy(&bytes_[address], from, bytes);
}

}  // namespace ptq::cuda::emulator
