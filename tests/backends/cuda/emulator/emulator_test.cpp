#include "emulator/emulator.h"

#include <cstring>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "device.h"
#include "fragments.h"

namespace ptq::cuda {
namespace {

using emulator::Launch;
using emulator::Violation;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Launch shape(int threads, int shared_bytes, uint64_t seed = 1) {
  Launch launch;
  launch.threads = threads;
  launch.shared_bytes = shared_bytes;
  launch.seed = seed;
  return launch;
}

/// `kernel` must be refused under every one of many schedules, with a text that holds `reason`.
void expect_violation(const Launch& launch, const std::function<void()>& kernel,
                      const std::string& reason) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Launch again = launch;
    again.seed = seed;
    EXPECT_THAT([&] { emulator::run(again, kernel); }, ThrowsMessage<Violation>(HasSubstr(reason)));
  }
}

uint32_t word_address(int thread) {
  return static_cast<uint32_t>(thread) * 4;
}

// Each thread takes its neighbour's number out of shared memory.
void rotate(std::vector<int>& result, bool with_barrier) {
  const int thread = gpu::thread_index();
  gpu::store_shared(word_address(thread), static_cast<uint32_t>(thread));
  if (with_barrier) gpu::sync_threads();
  result[thread] = static_cast<int>(gpu::load_shared(word_address((thread + 33) % 64)));
}

TEST(Emulator, ThreadsMeetAtBarriers) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::vector<int> result(64);
    emulator::run(shape(64, 256, seed), [&] { rotate(result, true); });
    for (int i = 0; i < 64; ++i) {
      ASSERT_EQ(result[i], (i + 33) % 64);
    }
  }
}

// Under most schedules the read comes first and the word is empty; under the others the write of
// another thread is not ordered before it.
TEST(Emulator, MissingBarrierFails) {
  std::vector<int> result(64);
  expect_violation(
      shape(64, 256), [&] { rotate(result, false); }, "thread ");
}

TEST(Emulator, OverwritingWhatOthersStillReadFails) {
  const auto kernel = [] {
    const int thread = gpu::thread_index();
    gpu::store_shared(word_address(thread), 1);
    gpu::sync_threads();
    gpu::load_shared(word_address((thread + 32) % 64));
    gpu::store_shared(word_address(thread), 2);  // needs a barrier before it
  };
  // Who comes first, the reader or the writer, the schedule decides.
  expect_violation(shape(64, 256), kernel, "without a barrier between them");
}

TEST(Emulator, WarpBarrierOrdersOneWarpOnly) {
  const auto kernel = [](int distance) {
    const int thread = gpu::thread_index();
    gpu::store_shared(word_address(thread), 1);
    gpu::sync_warp();
    gpu::load_shared(word_address((thread + distance) % 32 + thread / 32 * 32));
    if (distance == 32) gpu::load_shared(word_address((thread + 32) % 64));
  };
  EXPECT_NO_THROW(emulator::run(shape(64, 256), [&] { kernel(1); }));
  expect_violation(
      shape(64, 256), [&] { kernel(32); }, "shared address");
}

// One group of copies a thread; `waits` says how many may still be under way when it reads.
template <int kWaits>
void copy_and_read(const Word4* source, std::vector<uint32_t>& result, bool with_barrier) {
  const int thread = gpu::thread_index();
  for (int i = 0; i < 2; ++i) {
    gpu::copy_async(static_cast<uint32_t>(i * 64 + thread) * 16, source + thread, true);
    gpu::commit_copies();
  }
  gpu::wait_copies<kWaits>();
  if (with_barrier) gpu::sync_threads();
  result[thread] = gpu::load_shared(static_cast<uint32_t>(64 + (thread + 32) % 64) * 16);
  gpu::wait_copies<0>();
}

TEST(Emulator, CopiesArriveWhenWaitedFor) {
  std::vector<Word4> source(64);
  for (uint32_t i = 0; i < 64; ++i) {
    source[i].word[0] = i;
  }
  std::vector<uint32_t> result(64);
  const Launch launch = shape(64, 2048);
  emulator::run(launch, [&] { copy_and_read<0>(source.data(), result, true); });
  for (uint32_t i = 0; i < 64; ++i) {
    ASSERT_EQ(result[i], (i + 32) % 64);
  }
  expect_violation(
      launch, [&] { copy_and_read<1>(source.data(), result, true); }, "may not have brought yet");
  expect_violation(
      launch, [&] { copy_and_read<0>(source.data(), result, false); }, "shared address");
}

TEST(Emulator, UnfinishedCopiesFail) {
  const Word4 source{};
  const auto kernel = [&] { gpu::copy_async(0, &source, true); };
  expect_violation(
      shape(32, 16),
      [&] {
        if (gpu::thread_index() == 0) kernel();
      },
      "has not waited for");
}

TEST(Emulator, CopyOverWhatOthersStillReadFails) {
  const Word4 source{};
  const auto kernel = [&] {
    const auto address = static_cast<uint32_t>(gpu::thread_index()) * 16;
    gpu::copy_async(address, &source, true);
    gpu::commit_copies();
    gpu::wait_copies<0>();
    gpu::sync_threads();
    gpu::load_shared(address ^ 512);
    gpu::copy_async(address, &source, true);
    gpu::commit_copies();
    gpu::wait_copies<0>();
  };
  expect_violation(shape(64, 1024), kernel, "shared address");
}

TEST(Emulator, DivergentBarriersFail) {
  const auto some_leave = [] {
    if (gpu::thread_index() < 40) gpu::sync_threads();
  };
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_THROW(emulator::run(shape(64, 0, seed), some_leave), Violation);
  }
  const auto two_places = [] {
    if (gpu::thread_index() < 32) {
      gpu::sync_threads();
    } else {
      gpu::sync_threads();
    }
  };
  expect_violation(shape(64, 0), two_places, "is at the barrier of line");
}

TEST(Emulator, DivergentWarpInstructionsFail) {
  const auto half = [] {
    if (gpu::thread_index() < 16) gpu::shuffle_xor(1.0F, 1);
  };
  expect_violation(shape(32, 0), half, "no thread can go on");
  const auto two_places = [] {
    if (gpu::thread_index() < 16) {
      gpu::shuffle_xor(1.0F, 1);
    } else {
      gpu::shuffle_xor(1.0F, 1);
    }
  };
  expect_violation(shape(32, 0), two_places, "diverged");
}

TEST(Emulator, AccessesOutOfBoundsFail) {
  expect_violation(
      shape(32, 64), [] { gpu::store_shared(64, 1); }, "past the end");
  expect_violation(
      shape(32, 64), [] { gpu::store_shared(2, 1); }, "not aligned");
  expect_violation(
      shape(32, 64), [] { gpu::load_shared(word_address(gpu::thread_index() % 16)); },
      "never written");
  EXPECT_THROW(emulator::run(shape(33, 0), [] {}), Violation);
}

// Without the barrier, thread 0 announces what others of its block have not written.
TEST(Emulator, BlocksInterleave) {
  const auto kernel = [](std::vector<int>& parts, int& ticket, int& sum, bool with_barrier) {
    const int block = gpu::block_index_x();
    gpu::fence();
    parts[block * 64 + gpu::thread_index()] = 1;
    if (with_barrier) gpu::sync_threads();
    if (gpu::thread_index() != 0) return;
    if (gpu::atomic_add(&ticket, 1) != 3) return;
    for (const int part : parts) {
      sum += part;
    }
  };
  int wrong = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const bool with_barrier : {true, false}) {
      Launch launch = shape(64, 0, seed);
      launch.grid_x = 4;
      std::vector<int> parts(256);
      int ticket = 0, sum = 0;
      emulator::run(launch, [&] { kernel(parts, ticket, sum, with_barrier); });
      if (with_barrier) {
        ASSERT_EQ(sum, 256);
      }
      wrong += with_barrier ? 0 : static_cast<int>(sum != 256);
    }
  }
  EXPECT_GT(wrong, 0);
}

TEST(Emulator, EverySeedIsRepeatable) {
  const auto trace = [](uint64_t seed) {
    std::vector<int> order;
    Launch launch = shape(64, 0, seed);
    launch.grid_x = 3;
    emulator::run(launch,
                  [&] { order.push_back(gpu::block_index_x() * 64 + gpu::thread_index()); });
    return order;
  };
  EXPECT_EQ(trace(5), trace(5));
  EXPECT_NE(trace(5), trace(6));
}

// The product of two matrices through ldmatrix and mma, against the plain sum; with B stored by
// columns, so that ldmatrix's rows are its columns.
TEST(Emulator, MatrixInstructionMultiplies) {
  const auto entry = [](int i, int j) { return static_cast<float>((i * 7 + j * 3) % 11 - 5); };
  float result[16][8] = {};
  const auto pair = [](float low, float high) {
    return gpu::round_to<Bf16>(low) | static_cast<uint32_t>(gpu::round_to<Bf16>(high)) << 16;
  };
  emulator::run(shape(32, 256), [&] {
    const int lane = gpu::thread_index();
    for (int i = 0; i < 2; ++i) {
      const int word = lane * 2 + i;  // column word / 8, rows 2 (word % 8) and the next
      gpu::store_shared(word_address(word), pair(entry(word % 8 * 2, word / 8 + 20),
                                                 entry(word % 8 * 2 + 1, word / 8 + 20)));
    }
    gpu::sync_warp();
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; ++i) {
      const FragmentPlace place = fragment_a(lane, 2 * i);
      a[i] = pair(entry(place.row, place.column), entry(place.row, place.column + 1));
    }
    gpu::load_matrices2(b, static_cast<uint32_t>(lane % 8 * 32 + lane / 8 % 2 * 16));
    float sum[4] = {0.5F, 0.5F, 0.5F, 0.5F};
    gpu::multiply_add<Bf16>(sum, a, b);
    for (int i = 0; i < 4; ++i) {
      result[fragment_c(lane, i).row][fragment_c(lane, i).column] = sum[i];
    }
  });
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      float expected = 0.5F;
      for (int k = 0; k < 16; ++k) {
        expected += entry(row, k) * entry(k, column + 20);
      }
      ASSERT_EQ(result[row][column], expected) << row << " " << column;
    }
  }
}

TEST(Emulator, ShuffleExchangesLanes) {
  std::vector<float> result(32);
  emulator::run(shape(32, 0), [&] {
    const int lane = gpu::thread_index();
    result[lane] = gpu::shuffle_xor(static_cast<float>(lane), 5);
  });
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(result[lane], static_cast<float>(lane ^ 5));
  }
}

}  // namespace
}  // namespace ptq::cuda
