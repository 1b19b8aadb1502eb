#include "ptq/calib/store.h"

#include <functional>
#include <limits>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "io/scratch.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"
#include "statistics/batch.h"

namespace {

using ptq::add_stats_part;
using ptq::ConfigError;
using ptq::FormatError;
using ptq::Json;
using ptq::LinearSite;
using ptq::merge_stores;
using ptq::SiteBatch;
using ptq::SiteStats;
using ptq::StatsStore;
using ptq::StoreManifest;
using ptq::test::message_of;
using ptq::test::Scratch;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kWindows = 6, kSeq = 5, kBlocks = 2;

const ptq::StatisticSet& all_statistics() {
  static const ptq::StatisticSet statistics(
      {"gram", "mean-square", "weighted-gram", "fisher-sequence", "gradient-energy"},
      {{"weighted-gram", {{"groups", 2}}}});
  return statistics;
}

Json identity() {
  return {{"model", {{"sha256", "aa"}}}, {"data", {{"sha256", "bb"}, {"seqlen", kSeq}}}};
}

/// Two linears of one input and one of another.
std::vector<LinearSite> sites_of(int block) {
  const std::string prefix = "model.layers." + std::to_string(block) + ".";
  return {{prefix + "q_proj", prefix + "attn.input", block, 0, 4, 6},
          {prefix + "k_proj", prefix + "attn.input", block, 0, 2, 6},
          {prefix + "o_proj", prefix + "o.input", block, 1, 6, 4}};
}

/// What a linear sees of the windows first … end − 1; the linears of an input see the same.
SiteBatch batch_of(const LinearSite& site, int64_t first, int64_t end) {
  at::manual_seed(100 * site.block + site.stage);
  const SiteBatch all =
      ptq::test::random_batch(kWindows, kSeq, 8 + site.out_features, site.in_features);
  return ptq::test::sequences_of({all.x, all.g.narrow(2, 8, site.out_features)}, first,
                                 end - first);
}

ptq::Collector collect(int block, int64_t first, int64_t end) {
  ptq::Collector collector(all_statistics());
  for (const LinearSite& site : sites_of(block))
    collector.add(site, batch_of(site, first, end));
  collector.finish();
  return collector;
}

StoreManifest manifest_of(int64_t first, int64_t end) {
  StoreManifest manifest;
  manifest.identity = identity();
  manifest.statistics = all_statistics().options();
  manifest.counts = {end - first, (end - first) * kSeq, (end - first) * (kSeq - 1)};
  manifest.windows = {{first, end}};
  manifest.windows_total = kWindows;
  manifest.blocks = kBlocks;
  return manifest;
}

std::filesystem::path write_store(const std::filesystem::path& directory, int64_t first,
                                  int64_t end) {
  std::filesystem::create_directories(directory);
  for (int block = 0; block < kBlocks; ++block)
    write_stats_block(directory, block, sites_of(block), collect(block, first, end));
  write_stats_manifest(directory, manifest_of(first, end));
  return directory;
}

/// Every sum of every linear of both: equal, or within `relative` of the larger entry.
void expect_same(StatsStore& a, StatsStore& b, double relative) {
  for (int block = 0; block < kBlocks; ++block) {
    for (const LinearSite& site : sites_of(block)) {
      const SiteStats of_a = a.site_stats(site), of_b = b.site_stats(site);
      EXPECT_EQ(of_a.counts().sequences, of_b.counts().sequences);
      EXPECT_EQ(of_a.counts().tokens, of_b.counts().tokens);
      EXPECT_EQ(of_a.counts().targets, of_b.counts().targets);
      ASSERT_EQ(of_a.all().size(), of_b.all().size());
      for (const auto& [name, sums] : of_a.all())
        for (const auto& [sum, tensor] : *sums)
          EXPECT_TRUE(at::allclose(tensor, of_b.sum(name, sum), relative,
                                   relative * tensor.abs().max().item<double>()))
              << site.name << " " << name << " " << sum;
    }
  }
}

TEST(StatsStore, GivesBackWhatWasCollected) {
  const Scratch scratch;
  StatsStore store = StatsStore::open(write_store(scratch / "store", 0, kWindows));
  for (int block = 0; block < kBlocks; ++block) {
    const ptq::Collector collector = collect(block, 0, kWindows);
    for (const LinearSite& site : sites_of(block)) {
      const SiteStats stats = store.site_stats(site), collected = collector.stats(site);
      EXPECT_EQ(stats.all().size(), 5U);
      EXPECT_EQ(stats.counts().targets, collected.counts().targets);
      for (const auto& [name, sums] : collected.all())
        for (const auto& [sum, tensor] : *sums)
          EXPECT_TRUE(stats.sum(name, sum).equal(tensor)) << name;
    }
  }
  EXPECT_EQ(store.manifest().identity, identity());
  EXPECT_EQ(store.manifest().statistics.at("weighted-gram").at("groups"), 2);
  EXPECT_TRUE(store.manifest().complete());
}

TEST(StatsStore, LinearsOfAnInputShareSumsAndWhatIsDerived) {
  const Scratch scratch;
  StatsStore store = StatsStore::open(write_store(scratch / "store", 0, kWindows));
  const std::vector<LinearSite> sites = sites_of(1);
  EXPECT_TRUE(
      store.site_stats(sites[0]).sum("gram").is_same(store.site_stats(sites[1]).sum("gram")));
  int made = 0;
  const auto make = [&] { return ++made; };
  EXPECT_EQ(store.site_stats(sites[0], {"gram"}).derived<int>("key", make), 1);
  EXPECT_EQ(store.site_stats(sites[1], {"gram"}).derived<int>("key", make), 1);
  EXPECT_EQ(store.site_stats(sites[2], {"gram"}).derived<int>("key", make), 2);
  // Of the linear's own gradients nothing may be shared.
  EXPECT_EQ(store.site_stats(sites[0], {"weighted-gram"}).derived<int>("key", make), 3);
  EXPECT_EQ(store.site_stats(sites[1], {"weighted-gram"}).derived<int>("key", make), 4);
  EXPECT_FALSE(store.site_stats(sites[0], {"gram"}).has("weighted-gram"));
}

TEST(StatsStore, SaysWhatIsMissingAndHowToCollectIt) {
  const Scratch scratch;
  StatsStore store = StatsStore::open(write_store(scratch / "store", 0, kWindows));
  EXPECT_NO_THROW(store.require({"gram", "weighted-gram"}));
  try {
    store.require({"gram", "fisher-token", "token-energy"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("lack fisher-token, token-energy"));
    EXPECT_THAT(error.hint(),
                HasSubstr("--collect fisher-sequence,gradient-energy,gram,mean-square,"
                          "weighted-gram,fisher-token,token-energy "));
  }
  EXPECT_THROW(store.site_stats(sites_of(0)[0], {"fisher-token"}), ConfigError);
}

TEST(StatsStore, RefusesAnotherModel) {
  const Scratch scratch;
  const StatsStore store = StatsStore::open(write_store(scratch / "store", 0, kWindows));
  EXPECT_NO_THROW(store.check_model(identity()));
  EXPECT_NO_THROW(store.check_model({{"model", {{"sha256", "aa"}}}}));
  Json other = identity();
  other["model"]["sha256"] = "cc";
  other["tokenizer"] = "dd";
  EXPECT_THAT(message_of<ConfigError>([&] { store.check_model(other); }),
              AllOf(HasSubstr("model.sha256 (was \"aa\", is \"cc\")"),
                    HasSubstr("tokenizer (was null, is \"dd\")")));
}

TEST(StatsStore, IsNoneWithoutAManifest) {
  const Scratch scratch;
  std::filesystem::remove(write_store(scratch / "store", 0, 1) / "manifest.json");
  EXPECT_THAT(message_of<ConfigError>([&] { StatsStore::open(scratch / "store"); }),
              HasSubstr("has no manifest.json"));
}

TEST(StatsStore, SumsThatAreNotFiniteAreNotWritten) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "store");
  ptq::Collector collector(all_statistics());
  for (const LinearSite& site : sites_of(0)) {
    SiteBatch batch = batch_of(site, 0, 2);
    batch.x.mul_(1e25);
    collector.add(site, batch);
  }
  EXPECT_THAT(message_of<ptq::NumericalError>(
                  [&] { write_stats_block(scratch / "store", 0, sites_of(0), collector); }),
              HasSubstr("attn.input.gram.sum is not finite"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "store"));
}

TEST(StatsStore, PartsOfTheDataAddUpInOneFile) {
  const Scratch scratch;
  const std::filesystem::path directory = scratch / "parts";
  std::filesystem::create_directories(directory);
  const std::vector<std::pair<int64_t, int64_t>> parts = {{0, 3}, {3, 4}, {4, kWindows}};
  for (int block = 0; block < kBlocks; ++block)
    for (size_t part = 0; part < parts.size(); ++part)
      for (int time = 0; time < 2; ++time)  // the second time as after an interruption
        write_stats_block(directory, block, sites_of(block),
                          collect(block, parts[part].first, parts[part].second),
                          static_cast<int64_t>(part));
  write_stats_manifest(directory, manifest_of(0, kWindows));
  StatsStore whole = StatsStore::open(write_store(scratch / "whole", 0, kWindows));
  StatsStore added = StatsStore::open(directory);
  expect_same(whole, added, 1e-5);  // float32 sums of 30 terms
}

TEST(StatsStore, APartIsAddedBehindThoseBeforeItOnly) {
  const Scratch scratch;
  const std::filesystem::path file = scratch / "block.safetensors";
  const std::map<std::string, at::Tensor> sums = {{"a", at::ones({2})}, {"b", at::ones({3})}};
  const auto add = [&](int64_t part, const std::map<std::string, at::Tensor>& part_sums) {
    return message_of<FormatError>([&] { add_stats_part(file, part, part_sums); });
  };
  add_stats_part(file, 0, sums);
  EXPECT_THAT(add(2, sums), HasSubstr("2 sums of 1 parts of the data, not 2 of 2"));
  EXPECT_THAT(add(1, {{"a", at::ones({2})}}), HasSubstr("2 sums of 1 parts"));
  EXPECT_THAT(add(1, {{"a", at::ones({2})}, {"c", at::ones({3})}}), HasSubstr("\"c\""));
  EXPECT_THAT(add(1, {{"a", at::ones({2})}, {"b", at::ones({4})}}), HasSubstr("another shape"));
  ptq::write_safetensors(file, sums);
  EXPECT_THAT(add(1, sums), HasSubstr("2 sums of 0 parts"));
}

TEST(StatsStore, NamesTheBlockFileThatIsBroken) {
  const Scratch scratch;
  const std::filesystem::path directory = write_store(scratch / "store", 0, kWindows);
  const std::filesystem::path file = ptq::stats_block_file(directory, 1);
  EXPECT_EQ(file.filename(), "block-00001.safetensors");
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 8);
  EXPECT_THAT(message_of<FormatError>([&] { StatsStore::open(directory); }),
              HasSubstr(file.string()));
  std::filesystem::remove(file);
  EXPECT_THAT(message_of<FormatError>([&] { StatsStore::open(directory); }),
              HasSubstr(file.string() + " is missing"));
}

/// Changes a tensor of block 0 and tells what reading it says.
std::string message_after(const std::filesystem::path& directory, const std::string& name,
                          const std::function<at::Tensor(const at::Tensor&)>& change) {
  const std::filesystem::path file = ptq::stats_block_file(directory, 0);
  std::map<std::string, at::Tensor> tensors;
  {
    const ptq::SafetensorsFile before(file);
    for (const auto& entry : before.entries())
      tensors[entry.first] = before.tensor(entry.first).clone();
  }
  const at::Tensor changed = change(tensors.at(name));
  if (changed.defined())
    tensors[name] = changed;
  else
    tensors.erase(name);
  ptq::write_safetensors(file, tensors);
  StatsStore store = StatsStore::open(directory);
  const std::string message = message_of<FormatError>([&] { store.site_stats(sites_of(0)[0]); });
  EXPECT_THAT(message, AllOf(HasSubstr(file.string()), HasSubstr(name)));
  return message;
}

TEST(StatsStore, NamesTheTensorThatIsBroken) {
  const Scratch scratch;
  const auto store = [&] { return write_store(scratch / "store", 0, kWindows); };
  const std::string gram = "model.layers.0.attn.input.gram.sum";
  EXPECT_THAT(message_after(store(), gram, [](const at::Tensor& t) { return t.narrow(0, 0, 5); }),
              HasSubstr("Float [5,6], not Float [6,6]"));
  EXPECT_THAT(message_after(store(), gram, [](const at::Tensor& t) { return t.to(at::kDouble); }),
              HasSubstr("Double [6,6], not Float [6,6]"));
  EXPECT_THAT(message_after(
                  store(), "model.layers.0.q_proj.gradient-energy.energy",
                  [](const at::Tensor& t) { return t + std::numeric_limits<double>::quiet_NaN(); }),
              HasSubstr("holds NaN or infinity"));
  EXPECT_THAT(message_after(store(), gram, [](const at::Tensor&) { return at::Tensor(); }),
              HasSubstr("has no tensor"));
  StatsStore whole = StatsStore::open(store());
  LinearSite beyond = sites_of(0)[0];
  beyond.block = kBlocks;
  EXPECT_THAT(message_of<FormatError>([&] { whole.site_stats(beyond); }),
              HasSubstr("has 2 blocks"));
}

TEST(StatsStore, NamesTheFieldOfTheManifestThatIsBroken) {
  const Scratch scratch;
  const std::filesystem::path directory = write_store(scratch / "store", 0, kWindows);
  const std::filesystem::path file = directory / "manifest.json";
  const Json good = ptq::read_json_file(file);
  const std::pair<const char*, Json> faults[] = {{"format", "another"},
                                                 {"format", nullptr},
                                                 {"identity", 3},
                                                 {"statistics", Json::array()},
                                                 {"statistics", {{"grams", Json::object()}}},
                                                 {"statistics", {{"gram", {{"groups", 2}}}}},
                                                 {"statistics", {{"gram", 7}}},
                                                 {"sequences", -1},
                                                 {"sequences", 5},
                                                 {"tokens", 1.5},
                                                 {"targets", "many"},
                                                 {"windows", {{0, 7}}},
                                                 {"windows", {{0, 3}, {2, 5}}},
                                                 {"windows", {{0, 6, 9}}},
                                                 {"windows", {{4, 4}}},
                                                 {"windows", "all"},
                                                 {"windows_total", nullptr},
                                                 {"blocks", uint64_t{1} << 63}};
  for (const auto& [field, value] : faults) {
    Json bad = good;
    bad[field] = value;
    ptq::write_file_atomically(file, bad.dump());
    EXPECT_THAT(message_of<FormatError>([&] { StatsStore::open(directory); }),
                HasSubstr(file.string()))
        << field << " " << value.dump();
    bad.erase(field);
    ptq::write_file_atomically(file, bad.dump());
    EXPECT_THAT(message_of<FormatError>([&] { StatsStore::open(directory); }),
                HasSubstr("\"" + std::string(field) + "\""));
  }
  ptq::write_file_atomically(file, "[1, 2]");
  EXPECT_THAT(message_of<FormatError>([&] { StatsStore::open(directory); }),
              HasSubstr("is not a JSON object"));
  Json newer = good;
  newer["version"] = 2;
  ptq::write_file_atomically(file, newer.dump());
  EXPECT_THROW(StatsStore::open(directory), ptq::UnsupportedError);
}

TEST(MergeStores, EqualsOneRunOverAllWindows) {
  const Scratch scratch;
  StatsStore whole = StatsStore::open(write_store(scratch / "whole", 0, kWindows));
  const auto a = write_store(scratch / "a", 0, 1), b = write_store(scratch / "b", 1, 4),
             c = write_store(scratch / "c", 4, kWindows);
  const StoreManifest merged = merge_stores({c, a, b}, scratch / "merged");
  EXPECT_TRUE(merged.complete());
  EXPECT_EQ(merged.covered(), "0-5 of 6");
  EXPECT_EQ(merged.to_json(), whole.manifest().to_json());
  StatsStore store = StatsStore::open(scratch / "merged");
  // Entries of up to 30 products of one sign and the other, summed in another order.
  expect_same(store, whole, 64 * std::numeric_limits<float>::epsilon());
  merge_stores({b, a, c}, scratch / "again");
  for (int64_t block = 0; block < kBlocks; ++block)
    EXPECT_EQ(ptq::test::read_bytes(ptq::stats_block_file(scratch / "merged", block)),
              ptq::test::read_bytes(ptq::stats_block_file(scratch / "again", block)));
}

TEST(MergeStores, OfSomeWindowsTellsThemAndCanBeMergedFurther) {
  const Scratch scratch;
  const auto a = write_store(scratch / "a", 0, 2), b = write_store(scratch / "b", 2, 4),
             c = write_store(scratch / "c", 4, kWindows);
  const StoreManifest some = merge_stores({a, c}, scratch / "some");
  EXPECT_FALSE(some.complete());
  EXPECT_EQ(some.covered(), "0-1, 4-5 of 6");
  EXPECT_EQ(StatsStore::open(scratch / "some").manifest().counts.tokens, 4 * kSeq);
  EXPECT_TRUE(merge_stores({b, scratch / "some"}, scratch / "all").complete());
}

TEST(MergeStores, RefusesWindowsTwice) {
  const Scratch scratch;
  const auto a = write_store(scratch / "a", 0, 3), b = write_store(scratch / "b", 2, 4);
  EXPECT_THAT(message_of<ConfigError>([&] {
                merge_stores({b, a}, scratch / "out");
              }),
              AllOf(HasSubstr("window 2"), HasSubstr(a.string()), HasSubstr(b.string())));
  EXPECT_THROW(merge_stores({a, a}, scratch / "out"), ConfigError);
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
  EXPECT_THROW(merge_stores({}, scratch / "out"), ConfigError);
  EXPECT_THAT(message_of<ConfigError>([&] { merge_stores({a}, b); }), HasSubstr("exists already"));
}

TEST(MergeStores, RefusesStoresOfUnlikeRuns) {
  const Scratch scratch;
  const auto a = write_store(scratch / "a", 0, 3), b = write_store(scratch / "b", 3, 5);
  StoreManifest other = manifest_of(3, 5);
  other.identity["data"]["sha256"] = "ee";
  other.statistics["weighted-gram"]["groups"] = 1;
  write_stats_manifest(b, other);
  EXPECT_THAT(message_of<ConfigError>([&] {
                merge_stores({a, b}, scratch / "out");
              }),
              AllOf(HasSubstr("identity.data.sha256 (was \"bb\", is \"ee\")"),
                    HasSubstr("statistics.weighted-gram.groups (was 2, is 1)")));
  write_stats_manifest(b, manifest_of(3, 5));
  std::map<std::string, at::Tensor> tensors;
  {
    const ptq::SafetensorsFile before(ptq::stats_block_file(b, 1));
    for (const auto& entry : before.entries())
      tensors[entry.first] = before.tensor(entry.first).clone();
  }
  tensors["extra"] = at::ones({1});
  ptq::write_safetensors(ptq::stats_block_file(b, 1), tensors);
  EXPECT_THAT(message_of<FormatError>([&] {
                merge_stores({a, b}, scratch / "out");
              }),
              HasSubstr("has no tensor \"extra\""));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out" / "manifest.json"));
}

}  // namespace
