#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

using Words = std::vector<uint32_t>;

constexpr int64_t kOut = 8, kIn = 32;

std::unique_ptr<CheckpointFormat> squeezellm() {
  return formats().make("squeezellm");
}

QuantScheme lookup(int bits) {
  return {bits, -1, true, true};
}

MapSource packed(const QuantizedTensor& weight) {
  return MapSource(squeezellm()->pack(make_site("a", kOut, kIn), weight, at::kFloat));
}

// The golden stream of docs/formats.md: q[k] = (7k + 3) mod 16.
TEST(SqueezeLlm, PacksCodesAsGptqDoes) {
  QuantizedTensor weight = random_weight(lookup(4), kOut, kIn);
  const at::Tensor codes = at::arange(kIn).mul(7).add(3).remainder(16).to(at::kByte);
  weight.q.select(0, 5).copy_(codes);
  const at::Tensor qweight = packed(weight).tensor("a.qweight");
  EXPECT_EQ(words_of(qweight.select(1, 5)),
            (Words{0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b}));
}

TEST(SqueezeLlm, TablesAreHalfAsItsKernelsIndexThem) {
  const QuantizedTensor weight = random_weight(lookup(3), kOut, kIn);
  const at::Tensor table = packed(weight).tensor("a.lookup_table");
  EXPECT_EQ(table.scalar_type(), at::kHalf);
  EXPECT_TRUE(table.to(at::kFloat).equal(weight.table));
}

TEST(SqueezeLlm, ReadsTablesInSinglePrecision) {
  const QuantizedTensor weight = random_weight(lookup(3), kOut, kIn);
  MapSource source = packed(weight);
  const at::Tensor table = weight.table + 1e-5;
  source.tensors["a.lookup_table"] = table;
  const QuantizedTensor read = squeezellm()->unpack(make_site("a", kOut, kIn), lookup(3), source);
  EXPECT_NO_THROW(read.check());
  EXPECT_TRUE(read.table.equal(table));
}

TEST(SqueezeLlm, RefusesATableThatFalls) {
  MapSource source = packed(random_weight(lookup(3), kOut, kIn));
  const at::Tensor table = source.tensor("a.lookup_table").clone();
  table[5] = table[5].flip(0);
  source.tensors["a.lookup_table"] = table;
  try {
    squeezellm()->unpack(make_site("a", kOut, kIn), lookup(3), source);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("a.lookup_table: row 5 "));
  }
}

TEST(SqueezeLlm, RefusesTablesThatAreMissingNotFiniteOrOfAnotherKind) {
  const LinearSite site = make_site("a", kOut, kIn);
  const MapSource good = packed(random_weight(lookup(3), kOut, kIn));
  const at::Tensor table = good.tensor("a.lookup_table");
  at::Tensor infinite = table.clone();
  infinite[kOut - 1][7] = INFINITY;
  for (const at::Tensor& bad :
       {infinite, table.to(at::kBFloat16), table.to(at::kInt), table.narrow(0, 0, kOut - 1)}) {
    MapSource source = good;
    source.tensors["a.lookup_table"] = bad.contiguous();
    EXPECT_THROW(squeezellm()->unpack(site, lookup(3), source), FormatError) << bad.dtype();
  }
  MapSource source = good;
  source.tensors.erase("a.lookup_table");
  EXPECT_THROW(squeezellm()->unpack(site, lookup(3), source), FormatError);
}

TEST(SqueezeLlm, RefusesWeightsThatItsOwnToolsAddToTheTable) {
  MapSource source = packed(random_weight(lookup(3), kOut, kIn));
  source.tensors["a.vals"] = at::zeros({1});
  const Json config = {{"quant_method", "squeezellm"}, {"wbits", 3}};
  EXPECT_THROW(squeezellm()->plan(config, {make_site("a", kOut, kIn)}, source), UnsupportedError);
}

TEST(SqueezeLlm, RefusesGridsOddWidthsAndShapes) {
  const auto format = squeezellm();
  const LinearSite site = make_site("a", kOut, kIn);
  EXPECT_THAT(format->unsupported(site, {4, -1, true}).value(),
              testing::HasSubstr("--lookup-table"));
  EXPECT_THAT(format->unsupported(site, lookup(5)).value(), testing::HasSubstr("5 bits"));
  EXPECT_THAT(format->unsupported(make_site("a", kOut, 40), lookup(3)).value(),
              testing::HasSubstr("multiple of 32"));
  EXPECT_THROW(format->unpack(make_site("a", kOut, 40), lookup(3), MapSource({})), FormatError);
  FormatContext context = uniform_context(llama_sites(1), lookup(4));
  EXPECT_FALSE(format->unsupported(context).has_value());
  context.plan.begin()->second = lookup(3);
  EXPECT_THAT(format->unsupported(context).value(), testing::HasSubstr("wbits"));
}

TEST(SqueezeLlm, OtherFormatsNameIt) {
  for (const std::string& name : formats().names()) {
    if (name == "squeezellm") continue;
    const auto reason = formats().make(name)->unsupported(make_site("a", 64, 64), lookup(4));
    ASSERT_TRUE(reason.has_value()) << name;
    EXPECT_THAT(*reason, testing::HasSubstr("--format squeezellm")) << name;
  }
}

TEST(SqueezeLlm, ReadsTheWidthFromItsConfig) {
  const auto format = squeezellm();
  const std::vector<LinearSite> sites{make_site("a", kOut, kIn)};
  const MapSource source = packed(random_weight(lookup(3), kOut, kIn));
  const Json config = {{"quant_method", "squeezellm"}, {"wbits", 3}};
  EXPECT_TRUE(format->reads(config));
  EXPECT_EQ(format->plan(config, sites, source).at("a"), lookup(3));
  const auto plan = [&](const Json& wbits) {
    return format->plan({{"quant_method", "squeezellm"}, {"wbits", wbits}}, sites, source);
  };
  EXPECT_THROW(plan(5), UnsupportedError);
  EXPECT_THROW(plan(int64_t{1} << 32 | 3), UnsupportedError);
  EXPECT_THROW(plan("3"), FormatError);
  EXPECT_THROW(plan(nullptr), FormatError);
  // Another width than the codes have.
  EXPECT_THROW(format->unpack(sites[0], plan(4).at("a"), source), FormatError);
}

TEST(SqueezeLlm, NoEngineLoadsIt) {
  for (const EngineSupport& engine :
       squeezellm()->engines(uniform_context(llama_sites(1), lookup(4))))
    EXPECT_FALSE(engine.loads) << engine.engine;
}

}  // namespace
}  // namespace ptq
