#pragma once
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

// Runs a kernel's own source on the host.  Every thread is a fiber; a random schedule, drawn from a
// seed, decides who runs between two meetings.  Shared memory knows of each word who wrote and read
// it since which barrier, and of each asynchronous copy whether it was waited for.  What the rules
// of CUDA leave undefined ends the launch with a Violation, whatever its outcome would have been:
//
//   - reading shared memory that was never written, or that a copy has not been waited for;
//   - two accesses of different threads, one a write, without a barrier between them;
//   - a barrier or a warp's instruction that not all of its threads reach, or at different lines;
//   - accesses out of bounds or not aligned.
//
// Global memory is the host's own and unobserved: tests poison what kernels must write, and
// AddressSanitizer knows its bounds.  Blocks run interleaved, a few at a time.
namespace ptq::cuda::emulator {

/// A kernel broke a rule.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The shape of a launch; blocks are one-dimensional.
struct Launch {
  int grid_x = 1, grid_y = 1;
  int threads = 32;  ///< of a block; a multiple of 32
  int shared_bytes = 0;
  uint64_t seed = 1;
  int resident_blocks = 3;  ///< blocks that run at the same time
};

/// Runs `kernel` once for every thread.  Throws Violation.
void run(const Launch& launch, const std::function<void()>& kernel);

/// What the current thread is; valid inside `run`.
struct Place {
  int thread, block_x, block_y, grid_x;
};
const Place& place();

/// The functions behind device_emulated.h.  `site` is the caller's line.
void barrier(int site);
void warp_barrier(int site);
/// A point where other threads may run.
void pause();

void shared_read(uint32_t address, int bytes, void* to);
void shared_write(uint32_t address, int bytes, const void* from);
/// 4 or 16 bytes.
void copy_async(uint32_t to, const void* from, bool valid, int bytes = 16);
void commit_copies();
void wait_copies(int pending);

/// What one lane gives to and takes from an instruction of its whole warp.
using WarpInstruction = void (*)(void* const* lanes);
void warp_instruction(int site, WarpInstruction perform, void* lane);

}  // namespace ptq::cuda::emulator
