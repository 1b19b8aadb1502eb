#include "emulator.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <memory>
#include <vector>

#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>

#include "shared_memory.h"

namespace ptq::cuda::emulator {
namespace {

namespace context = boost::context;
constexpr int kWarp = 32;
constexpr size_t kStackBytes = 128 * 1024;

enum class State { kReady, kAtBarrier, kAtWarpInstruction, kDone };

struct Copy {
  uint32_t to;
  const void* from;
  bool valid;
  int bytes;
};

struct Block;

struct Thread {
  Place place;
  Block* block = nullptr;
  context::fiber fiber, scheduler;
  State state = State::kReady;
  int site = 0;          ///< the line where it waits
  void* lane = nullptr;  ///< what it brings to a warp's instruction
  int warp_epoch = 0;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
};

struct Block {
  Block(int count, int shared_bytes) : threads(count), shared(shared_bytes) {}
  std::vector<Thread> threads;
  SharedMemory shared;
  int epoch = 0, at_barrier = 0, done = 0;
};

Thread* current = nullptr;

[[noreturn]] void fail(const std::string& what) {
  throw Violation("block (" + std::to_string(current->place.block_x) + ", " +
                  std::to_string(current->place.block_y) + "), thread " +
                  std::to_string(current->place.thread) + ": " + what);
}

Moment now() {
  return {current->place.thread, current->block->epoch, current->warp_epoch};
}

void switch_to_scheduler() {
  current->scheduler = std::move(current->scheduler).resume();
}

// SplitMix64 (Steele, Lea and Flood 2014): a schedule needs many numbers, cheap ones.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t below(uint32_t limit) {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return static_cast<uint32_t>(((z ^ (z >> 31)) >> 32) * limit >> 32);
  }

 private:
  uint64_t state_;
};

class Scheduler {
 public:
  Scheduler(const Launch& launch, const std::function<void()>& kernel)
      : launch_(launch), kernel_(kernel), random_(launch.seed), stacks_(kStackBytes) {
    for (int i = 0; i < launch.grid_x * launch.grid_y; ++i) {
      waiting_.push_back(i);
    }
    for (uint32_t left = static_cast<uint32_t>(waiting_.size()); left > 1; --left) {
      std::swap(waiting_[left - 1], waiting_[random_.below(left)]);
    }
  }

  void run() {
    while (admit_blocks()) {
      current = pick();
      current->fiber = std::move(current->fiber).resume();
      if (error_) std::rethrow_exception(error_);
      if (current->state == State::kDone) finish(*current);
    }
  }

 private:
  // Whether any block is left.
  bool admit_blocks() {
    while (static_cast<int>(resident_.size()) < launch_.resident_blocks && !waiting_.empty()) {
      resident_.push_back(make_block(waiting_.back()));
      waiting_.pop_back();
    }
    return !resident_.empty();
  }

  std::unique_ptr<Block> make_block(int index) {
    auto block = std::make_unique<Block>(launch_.threads, launch_.shared_bytes);
    for (int i = 0; i < launch_.threads; ++i) {
      Thread& thread = block->threads[i];
      thread.place = {i, index % launch_.grid_x, index / launch_.grid_x, launch_.grid_x};
      thread.block = block.get();
      thread.fiber = context::fiber(std::allocator_arg, stacks_, [this, &thread](auto&& scheduler) {
        thread.scheduler = std::forward<decltype(scheduler)>(scheduler);
        try {
          kernel_();
        } catch (const context::detail::forced_unwind&) {
          throw;
        } catch (...) {
          error_ = std::current_exception();
        }
        thread.state = State::kDone;
        return std::move(thread.scheduler);
      });
    }
    return block;
  }

  // Stays with a warp for a while, so that some run far ahead of others.
  Thread* pick() {
    if (favourite_ != nullptr && random_.below(64) != 0) {
      if (Thread* thread = ready_of(*favourite_, favourite_warp_)) return thread;
    }
    const size_t first = random_.below(static_cast<uint32_t>(resident_.size()));
    const int warps = launch_.threads / kWarp;
    for (size_t i = 0; i < resident_.size(); ++i) {
      Block& block = *resident_[(first + i) % resident_.size()];
      const int first_warp = static_cast<int>(random_.below(warps));
      for (int warp = 0; warp < warps; ++warp) {
        favourite_ = &block;
        favourite_warp_ = (first_warp + warp) % warps;
        if (Thread* thread = ready_of(block, favourite_warp_)) return thread;
      }
    }
    throw Violation(deadlock());
  }

  Thread* ready_of(Block& block, int warp) {
    const int first = static_cast<int>(random_.below(kWarp));
    for (int i = 0; i < kWarp; ++i) {
      Thread& thread = block.threads[warp * kWarp + (first + i) % kWarp];
      if (thread.state == State::kReady) return &thread;
    }
    return nullptr;
  }

  std::string deadlock() const {
    std::string text = "no thread can go on:";
    for (const Thread& thread : resident_.front()->threads) {
      if (thread.state == State::kDone) continue;
      text += " thread " + std::to_string(thread.place.thread) + " waits at line " +
              std::to_string(thread.site) + " for its " +
              (thread.state == State::kAtBarrier ? "block;" : "warp;");
      break;
    }
    return text + " others have ended or wait elsewhere";
  }

  void finish(Thread& thread) {
    Block& block = *thread.block;
    if (!thread.open.empty() || !thread.groups.empty()) {
      throw Violation("thread " + std::to_string(thread.place.thread) +
                      " ended with asynchronous copies it has not waited for");
    }
    if (++block.done < launch_.threads) return;
    if (favourite_ == &block) favourite_ = nullptr;
    resident_.erase(std::find_if(resident_.begin(), resident_.end(),
                                 [&](const auto& other) { return other.get() == &block; }));
  }

  const Launch& launch_;
  const std::function<void()>& kernel_;
  Random random_;
  context::pooled_fixedsize_stack stacks_;
  std::vector<int> waiting_;
  std::exception_ptr error_;
  Block* favourite_ = nullptr;
  int favourite_warp_ = 0;
  std::vector<std::unique_ptr<Block>> resident_;
};

}  // namespace

void run(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.threads <= 0 || launch.threads % kWarp != 0 || launch.threads > 1024) {
    throw Violation(std::to_string(launch.threads) + " threads in a block");
  }
  Scheduler(launch, kernel).run();
}

const Place& place() {
  return current->place;
}

void barrier(int site) {
  Block& block = *current->block;
  for (const Thread& thread : block.threads) {
    if (thread.state == State::kDone) fail("waits at a barrier that an ended thread cannot reach");
    if (thread.state == State::kAtBarrier && thread.site != site) {
      fail("is at the barrier of line " + std::to_string(site) + ", another at that of line " +
           std::to_string(thread.site));
    }
  }
  current->site = site;
  current->state = State::kAtBarrier;
  if (++block.at_barrier == static_cast<int>(block.threads.size())) {
    block.at_barrier = 0;
    ++block.epoch;
    for (Thread& thread : block.threads) {
      thread.state = State::kReady;
    }
  }
  switch_to_scheduler();
}

void warp_instruction(int site, WarpInstruction perform, void* lane) {
  Thread* first = &current->block->threads[current->place.thread / kWarp * kWarp];
  current->site = site;
  current->lane = lane;
  current->state = State::kAtWarpInstruction;
  void* lanes[kWarp];
  for (int i = 0; i < kWarp; ++i) {
    if (first[i].state != State::kAtWarpInstruction) return switch_to_scheduler();
    if (first[i].site != site) fail("its warp has diverged at an instruction of the whole warp");
    lanes[i] = first[i].lane;
  }
  perform(lanes);
  for (int i = 0; i < kWarp; ++i) {
    first[i].state = State::kReady;
  }
}

void warp_barrier(int site) {
  warp_instruction(
      site, [](void* const*) {}, nullptr);
  ++current->warp_epoch;
}

void pause() {
  switch_to_scheduler();
}

void shared_read(uint32_t address, int bytes, void* to) {
  current->block->shared.read(now(), address, bytes, to);
}

void shared_write(uint32_t address, int bytes, const void* from) {
  current->block->shared.write(now(), address, bytes, from);
}

void copy_async(uint32_t to, const void* from, bool valid, int bytes) {
  if (valid && reinterpret_cast<uintptr_t>(from) % bytes != 0) fail("copies from unaligned memory");
  current->block->shared.begin_copy(now(), to, bytes);
  current->open.push_back({to, from, valid, bytes});
}

void commit_copies() {
  current->groups.push_back(std::move(current->open));
  current->open.clear();
}

void wait_copies(int pending) {
  while (static_cast<int>(current->groups.size()) > pending) {
    for (const Copy& copy : current->groups.front()) {
      const uint8_t zeros[16] = {};
      current->block->shared.end_copy(now(), copy.to, copy.bytes, copy.valid ? copy.from : zeros);
    }
    current->groups.pop_front();
  }
}

}  // namespace ptq::cuda::emulator
