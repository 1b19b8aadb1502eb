#include "layout.h"

#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fragments.h"

namespace ptq::cuda {
namespace {

// How many passes over the 32 banks of four bytes a warp's access needs: 16-byte accesses go by
// quarter warps, 4-byte ones by whole warps; equal words are read once.
int bank_passes(const std::vector<int>& offsets, int bytes) {
  const size_t lanes_per_pass = 128 / bytes;
  int worst = 0;
  for (size_t first = 0; first < offsets.size(); first += lanes_per_pass) {
    std::vector<std::set<int>> words(32);
    for (size_t lane = first; lane < std::min(first + lanes_per_pass, offsets.size()); ++lane) {
      for (int byte = 0; byte < bytes; byte += 4) {
        const int word = (offsets[lane] + byte) / 4;
        words[word % 32].insert(word);
      }
    }
    for (const std::set<int>& bank : words) {
      worst = std::max(worst, static_cast<int>(bank.size()));
    }
  }
  return worst;
}

TEST(Layout, TilePlaceInvertsItsThreeMaps) {
  std::set<std::pair<int, int>> seen;
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int word = 0; word < kWordsPerLane; ++word) {
      for (int nibble = 0; nibble < 8; ++nibble) {
        const TilePlace place = tile_place(lane, word, nibble);
        EXPECT_EQ(lane_of(place.k, place.n), lane);
        EXPECT_EQ(word_of(place.n), word);
        EXPECT_EQ(nibble_of(place.k, place.n), nibble);
        EXPECT_TRUE(place.k >= 0 && place.k < kTileK && place.n >= 0 && place.n < kStripN);
        seen.insert({place.k, place.n});
      }
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kTileK * kStripN));
}

TEST(Layout, EveryCodeHasItsOwnNibble) {
  const int64_t k = 128, n = 192;
  std::set<std::pair<int64_t, int>> seen;
  for (int64_t channel = 0; channel < n; ++channel) {
    for (int64_t input = 0; input < k; ++input) {
      const int64_t word = code_word(input, channel, k);
      EXPECT_TRUE(word >= 0 && word < n * k / 8);
      seen.insert({word, code_shift(input, channel)});
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(n * k));
}

// A kernel copies the four tiles of a slab of a strip as one run of 2 KB.
TEST(Layout, SlabOfStripIsContiguous) {
  const int64_t k = 256;
  for (int64_t input = 64; input < 128; ++input) {
    for (int64_t channel = 64; channel < 128; ++channel) {
      const int64_t word = code_word(input, channel, k) - code_word(64, 64, k);
      EXPECT_TRUE(word >= 0 && word < 512);
    }
  }
}

TEST(Layout, ScalesAndZerosHaveTheirOwnPlace) {
  std::set<int64_t> slots;
  std::set<std::pair<int64_t, int>> zeros;
  for (int64_t n = 0; n < 192; ++n) {
    slots.insert(scale_slot(n));
    zeros.insert({zero_word(n), zero_shift(n)});
    EXPECT_EQ(scale_slot(n) / kStripN, n / kStripN);
    // What one lane needs, channels r + 8 j, are neighbours.
    EXPECT_EQ(scale_slot(n) % 8, n % 64 / 8);
  }
  EXPECT_EQ(slots.size(), 192U);
  EXPECT_EQ(*slots.rbegin(), 191);
  EXPECT_EQ(zeros.size(), 192U);
  EXPECT_EQ(zeros.rbegin()->first, 23);
}

// The PTX manual's formulas for mma.m16n8k16 with .f16 and .bf16, word for word.
TEST(Layout, FragmentsAreThoseOfTheManual) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane >> 2, thread = lane % 4;
    for (int i = 0; i < 8; ++i) {
      const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
      const int column = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
      EXPECT_EQ(fragment_a(lane, i).row, row);
      EXPECT_EQ(fragment_a(lane, i).column, column);
    }
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(fragment_b(lane, i).row, thread * 2 + (i & 1) + (i >= 2 ? 8 : 0));
      EXPECT_EQ(fragment_b(lane, i).column, group);
      EXPECT_EQ(fragment_c(lane, i).row, i < 2 ? group : group + 8);
      EXPECT_EQ(fragment_c(lane, i).column, thread * 2 + (i & 1));
    }
  }
}

// Word i of a lane holds, as pairs 0, 2, 1, 3, exactly the registers of operand A for channels
// 16 i … 16 i + 15: the kernel's order of registers.
TEST(Layout, WordIsAnOperandOfTheMatrixInstruction) {
  const int pair_of_register[4] = {0, 2, 1, 3};
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int word = 0; word < kWordsPerLane; ++word) {
      for (int i = 0; i < 8; ++i) {
        const int nibble = pair_of_register[i / 2] + 4 * (i % 2);
        const TilePlace place = tile_place(lane, word, nibble);
        EXPECT_EQ(place.n, word * 16 + fragment_a(lane, i).row);
        EXPECT_EQ(place.k, fragment_a(lane, i).column);
      }
    }
  }
}

TEST(Layout, SharedMemoryMapsAreOneToOne) {
  std::set<int> activations, sums, dense;
  for (int row = 0; row < 64; ++row) {
    for (int chunk = 0; chunk < 8; ++chunk) {
      const int offset = activation_offset(row, chunk);
      EXPECT_TRUE(offset % 16 == 0 && offset >= 0 && offset < 64 * 128);
      activations.insert(offset);
    }
    for (int channel = 0; channel < 256; ++channel) {
      sums.insert(sum_offset(row, channel, 256));
    }
    for (int k = 0; k < kSlabK; ++k) {
      dense.insert(dense_offset(row, k));
    }
  }
  EXPECT_EQ(activations.size(), 64U * 8);
  EXPECT_EQ(sums.size(), 64U * 256);
  EXPECT_EQ(dense.size(), 64U * kSlabK);
}

// 16-byte accesses of a warp cannot take fewer than four passes, 4-byte ones one: one per 128
// bytes; bank_passes counts those of the worst pass.
TEST(Layout, SharedMemoryAccessesMeetNoBankConflict) {
  std::vector<int> tile, scales, zeros;
  for (int lane = 0; lane < kLanes; ++lane) {
    tile.push_back(lane * 16);
    scales.push_back(lane / 4 * 16);
    zeros.push_back(lane / 4 * 4);
  }
  EXPECT_EQ(bank_passes(tile, 16), 1);
  EXPECT_EQ(bank_passes(scales, 16), 1);
  EXPECT_EQ(bank_passes(zeros, 4), 1);
  for (int chunk = 0; chunk < 8; ++chunk) {
    std::vector<int> rows, copy;
    for (int row = 0; row < 8; ++row) {
      rows.push_back(activation_offset(row, chunk));  // one matrix of ldmatrix
    }
    for (int other = 0; other < 8; ++other) {
      copy.push_back(activation_offset(chunk, other));  // eight threads copy a row
    }
    EXPECT_EQ(bank_passes(rows, 16), 1);
    EXPECT_EQ(bank_passes(copy, 16), 1);
  }
  for (const int channels : {128, 256}) {
    for (int i = 0; i < 4; ++i) {
      std::vector<int> stores;
      for (int lane = 0; lane < kLanes; ++lane) {
        const FragmentPlace place = fragment_c(lane, i);
        stores.push_back(sum_offset(place.column, place.row, channels));
      }
      EXPECT_EQ(bank_passes(stores, 4), 1);
    }
  }
}

TEST(Layout, DenseSlabIsStoredAndReadWithoutConflict) {
  std::vector<int> stores, loads;
  for (int lane = 0; lane < kLanes; ++lane) {
    const TilePlace place = tile_place(lane, 0, 0);
    stores.push_back(dense_offset(place.n, place.k));
    loads.push_back(dense_offset(lane / 8, lane % 8 * 8));
  }
  EXPECT_EQ(bank_passes(stores, 4), 1);
  EXPECT_EQ(bank_passes(loads, 16), 1);
}

}  // namespace
}  // namespace ptq::cuda
