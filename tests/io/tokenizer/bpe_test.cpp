#include "bpe.h"

#include <random>
#include <thread>

#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

TEST(Bpe, LowestRankMergesFirstThenTheLeftmost) {
  const auto tokenizer = open_small(small_json({"a", "b", "c", "bc", "ab", "abc"}, {"b c", "a b"}));
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(0, 3));
  EXPECT_THAT(tokenizer->encode("abab"), ElementsAre(4, 4));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre());
}

TEST(Bpe, MergesAreReadInBothSpellings) {
  Json json = small_json({"a", " ", "a "});
  json["model"]["merges"] = Json::array({Json::array({"a", " "})});
  EXPECT_THAT(open_small(json)->encode("a a"), ElementsAre(2, 0));
}

TEST(Bpe, UnknownCharactersAreFusedDroppedOrSpelledInBytes) {
  Json json = small_json({"a", "<unk>", "<0xC3>", "<0xA9>"});
  EXPECT_THAT(open_small(json)->encode("axxa"), ElementsAre(0, 0));
  json["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(open_small(json)->encode("axxa"), ElementsAre(0, 1, 1, 0));
  json["model"]["fuse_unk"] = true;
  EXPECT_THAT(open_small(json)->encode("axxa"), ElementsAre(0, 1, 0));
  EXPECT_THAT(open_small(json)->encode("\xC3\xA9"), ElementsAre(1));
  json["model"]["byte_fallback"] = true;
  EXPECT_THAT(open_small(json)->encode("a\xC3\xA9"), ElementsAre(0, 2, 3));
  EXPECT_THAT(open_small(json)->encode("a\xC3\xA8"), ElementsAre(0, 1));  // <0xA8> is no token
  // A peculiarity of the tokenizers library: bytes overtake the unknown token before them.
  EXPECT_THAT(open_small(json)->encode("x\xC3\xA9"
                                       "a"),
              ElementsAre(2, 3, 1, 0));
}

TEST(Bpe, MissingUnknownTokenIsAnErrorOnlyWhenItIsNeeded) {
  Json json = small_json({"a"});
  json["model"]["unk_token"] = "<unk>";
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("aa"), ElementsAre(0, 0));
  EXPECT_THROW(tokenizer->encode("ab"), FormatError);
}

TEST(Bpe, IgnoreMergesTakesWholePiecesOnly) {
  Json json = small_json({"a", "b", "c", "abc", "bc"}, {"b c"});
  EXPECT_THAT(open_small(json)->encode("abc"), ElementsAre(0, 4));
  json["model"]["ignore_merges"] = true;
  EXPECT_THAT(open_small(json)->encode("abc"), ElementsAre(3));
  EXPECT_THAT(open_small(json)->encode("abca"), ElementsAre(0, 4, 0));
}

/// The definition: of all adjacent pairs the lowest rank merges, of these the leftmost.
std::vector<int32_t> merge_naively(const PairTable& merges, std::vector<int32_t> symbols) {
  for (;;) {
    size_t best = symbols.size();
    PairTable::Merge lowest{-1, -1};
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const PairTable::Merge merge = merges.find(symbols[i], symbols[i + 1]);
      if (merge.rank < 0 || (lowest.rank >= 0 && merge.rank >= lowest.rank)) continue;
      lowest = merge;
      best = i;
    }
    if (lowest.rank < 0) return symbols;
    symbols[best] = lowest.id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, ScanningAndQueueingFollowTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    // Eight symbols and 24 random merges, each making a token of its own.
    PairTable merges(24);
    for (int32_t rank = 0; rank < 24; ++rank) {
      const auto part = [&] {
        return static_cast<int32_t>(random() % static_cast<unsigned>(8 + rank));
      };
      const int32_t left = part();
      merges.set(left, part(), {rank, 8 + rank});
    }
    std::vector<int32_t> symbols(random() % 100);  // both below and above the queue's threshold
    for (int32_t& symbol : symbols)
      symbol = static_cast<int32_t>(random() % 3);
    const auto expected = merge_naively(merges, symbols);
    apply_merges(merges, symbols);
    ASSERT_EQ(symbols, expected) << "round " << round;
  }
}

TEST(Bpe, CuttingLongTextChangesNothing) {
  // Words of a and b behind "_"; with "b _" among the merges no cut before "_" is allowed.
  const std::vector<std::string> tokens = {"a", "b", "_", "<unk>", "ab", "_ab", "aa", "b_", "ba"};
  for (const bool across : {false, true}) {
    std::vector<std::string> merges = {"a b", "_ ab", "a a"};
    if (across) merges.insert(merges.begin() + 1, "b _");
    Json json = small_json(tokens, merges);
    json["model"]["unk_token"] = "<unk>";
    json["model"]["fuse_unk"] = true;
    const auto tokenizer = open_small(json);
    std::mt19937 random(3);
    for (int round = 0; round < 100; ++round) {
      std::string text;
      for (int i = 0; i < 200; ++i)
        text += "aab_bxab"[random() % 8];
      PairTable table(merges.size());
      const Json& vocab = json["model"]["vocab"];
      std::vector<int32_t> symbols;
      for (const char c : text) {
        if (c == 'x' && !symbols.empty() && symbols.back() == 3) continue;
        symbols.push_back(c == 'x' ? 3 : vocab[std::string(1, c)].get<int32_t>());
      }
      for (size_t rank = 0; rank < merges.size(); ++rank) {
        const size_t space = merges[rank].find(' ');
        const std::string left = merges[rank].substr(0, space);
        const std::string right = merges[rank].substr(space + 1);
        table.set(vocab[left], vocab[right],
                  {static_cast<int32_t>(rank), vocab[left + right].get<int32_t>()});
      }
      const auto expected = merge_naively(table, symbols);
      ASSERT_EQ(tokenizer->encode(text), Ids(expected.begin(), expected.end())) << text;
    }
  }
}

TEST(Bpe, LongPiecesTakeNoQuadraticTime) {
  // A quadratic merge of a million symbols would take hours.
  const auto tokenizer = open_small(small_json({"a", "aa", "aaaa"}, {"a a", "aa aa"}));
  const Ids ids = tokenizer->encode(std::string(1 << 20, 'a'));
  EXPECT_EQ(ids, Ids(1 << 18, 2));
}

TEST(Bpe, MergeListInReverseOrderIsReadQuickly) {
  // Each merge needs the one behind it in the list: the worst case for finding boundaries.
  std::vector<std::string> tokens = {"a"};
  std::vector<std::string> merges;
  for (int i = 1; i < 500; ++i)
    tokens.push_back(tokens.back() + "a");
  for (int i = 498; i >= 0; --i)
    merges.push_back(tokens[static_cast<size_t>(i)] + " a");
  // The first pair has the last rank of all, and each merge then goes before the next such pair.
  EXPECT_EQ(open_small(small_json(tokens, merges))->encode("aaaa"), Ids{3});
}

TEST(Bpe, ThreadsShareOneTokenizer) {
  const auto tokenizer = open_small(small_json({"a", "b", "ab"}, {"a b"}));
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        result = tokenizer->encode("abba" + std::string(i % 7U, 'a'));
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (const Ids& result : results)
    EXPECT_EQ(result, tokenizer->encode("abbaaaa"));
}

TEST(WordCache, ForgetsInsteadOfGrowingForEver) {
  WordCache cache;
  const int32_t id = 5;
  for (int i = 0; i < 600000; ++i) {
    const std::string word = "w" + std::to_string(i);
    cache.insert(word, &id, &id + 1);
    ASSERT_EQ(*cache.find(word).begin, 5);
  }
  EXPECT_EQ(cache.find("w0").begin, nullptr);
}

}  // namespace
}  // namespace ptq::tokenizer
