#pragma once
#include <cstdint>
#include <vector>

namespace ptq::cuda::emulator {

/// A thread's place in time: what it did before a meeting happened before what others do after it.
struct Moment {
  int thread = -1;
  int block_epoch = 0;  ///< barriers of the block so far
  int warp_epoch = 0;   ///< barriers of the warp so far
};

/// Shared memory of one block that knows the history of every 4-byte word.  All functions throw
/// Violation.
class SharedMemory {
 public:
  explicit SharedMemory(int bytes);

  void read(const Moment& now, uint32_t address, int bytes, void* to);
  void write(const Moment& now, uint32_t address, int bytes, const void* from);
  /// A copy is under way: the old content is gone, the new not there.
  void begin_copy(const Moment& now, uint32_t address, int bytes);
  /// The thread that started it has waited.
  void end_copy(const Moment& now, uint32_t address, int bytes, const void* from);

 private:
  enum class Content : uint8_t { kNothing, kOnItsWay, kValue };
  struct Word {
    Content content = Content::kNothing;
    Moment writer;
    Moment
        readers[2];  ///< the last two of different warps: enough to find a reader of another warp
  };

  Word& check_bounds(const Moment& now, uint32_t address, int bytes);
  void check_write(const Moment& now, const Word& word, uint32_t address) const;

  std::vector<uint8_t> bytes_;
  std::vector<Word> words_;
};

}  // namespace ptq::cuda::emulator
