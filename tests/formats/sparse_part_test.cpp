#include "ptq/formats/sparse_part.h"

#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "samples.h"

namespace ptq {
namespace {

namespace fs = std::filesystem;

class SparsePartTest : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    directory_ =
        fs::path(testing::TempDir()) /
        (std::string("sparse_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// Writes `weights` with their config and opens them.
  std::shared_ptr<const SparsePart> write_and_open(const SparseWeights& weights,
                                                   const std::vector<LinearSite>& sites,
                                                   at::ScalarType dtype) {
    write_sparse_part(directory_, weights, sites, dtype);
    return SparsePart::open(directory_, {{"ptq_sparse", sparse_config(weights, sites)}}, sites);
  }

  fs::path directory_;
};

bool identical(const SparseWeight& a, const SparseWeight& b) {
  return a.row_begin.equal(b.row_begin) && a.columns.equal(b.columns) && a.values.equal(b.values);
}

TEST_F(SparsePartTest, GivesBackWhatWasWritten) {
  const std::vector<LinearSite> sites{make_site("a.narrow", 5, 256), make_site("b.short", 7, 257),
                                      make_site("c.edge", 3, 32768), make_site("d.wide", 4, 32769),
                                      make_site("e.empty", 4, 64),   make_site("f.none", 4, 64)};
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kFloat}) {
    SparseWeights weights;
    for (int i = 0; i < 4; ++i)
      weights[sites[i].name] =
          storable(random_sparse(sites[i].out_features, sites[i].in_features, 0.1), dtype);
    weights["e.empty"] = {};
    const auto part = write_and_open(weights, sites, dtype);
    ASSERT_NE(part, nullptr);
    int64_t bytes = 0, entry_bytes = 0;
    for (int i = 0; i < 4; ++i) {
      const std::string& name = sites[i].name;
      EXPECT_TRUE(identical(part->find(name).value(), weights[name])) << name;
      EXPECT_EQ(part->count(name), weights[name].count());
      bytes += part->bytes(name);
      part->release(name);
      EXPECT_TRUE(identical(part->find(name).value(), weights[name])) << "after release";
    }
    const SafetensorsFile file(part->path());
    for (const auto& entry : file.entries())
      entry_bytes += static_cast<int64_t>(entry.second.end - entry.second.begin);
    EXPECT_EQ(bytes, entry_bytes);
    EXPECT_EQ(part->total_bytes(), entry_bytes);
    const at::ScalarType stored = dtype == at::kFloat ? at::kHalf : dtype;
    EXPECT_EQ(file.entries().at("a.narrow.sparse_val").dtype, stored);
    EXPECT_EQ(file.entries().at("a.narrow.sparse_col_idx").dtype, at::kByte);
    EXPECT_EQ(file.entries().at("c.edge.sparse_col_idx").dtype, at::kShort);
    EXPECT_EQ(file.entries().at("d.wide.sparse_col_idx").dtype, at::kInt);
    EXPECT_EQ(part->sites(), (std::vector<std::string>{"a.narrow", "b.short", "c.edge", "d.wide"}));
    for (const char* without : {"e.empty", "f.none"}) {
      EXPECT_FALSE(part->find(without).has_value());
      EXPECT_EQ(part->count(without) + part->bytes(without), 0);
      EXPECT_NO_THROW(part->release(without));
    }
  }
}

TEST_F(SparsePartTest, StorableValuesStayAsTheyAre) {
  SparseWeight weight = random_sparse(8, 64, 0.2);
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kFloat}) {
    const SparseWeight once = storable(weight, dtype);
    // One rounding to 11 or 8 significant bits: half a unit in the last place.
    const float half_unit = dtype == at::kBFloat16 ? 0x1p-8F : 0x1p-11F;
    EXPECT_TRUE(((once.values - weight.values).abs() <= half_unit * weight.values.abs())
                    .all()
                    .item<bool>());
    EXPECT_TRUE(identical(storable(once, dtype), once));
  }
  EXPECT_EQ(storable({}, at::kHalf).count(), 0);
  // 65519 is the last number that rounds to float16's largest.
  EXPECT_EQ(sparse_value_dtype(at::tensor({65519.0F}), at::kFloat), at::kHalf);
  EXPECT_EQ(sparse_value_dtype(at::tensor({1.0F, -65520.0F}), at::kFloat), at::kBFloat16);
  weight.values[3] = 65520.0F;
  EXPECT_NO_THROW(storable(weight, at::kFloat));
  EXPECT_THROW(storable(weight, at::kHalf), NumericalError);
  for (const float bad : {INFINITY, NAN}) {
    weight.values[3] = bad;
    EXPECT_THROW(storable(weight, at::kFloat), NumericalError);
  }
}

TEST_F(SparsePartTest, WithoutValuesThereIsNoFile) {
  const std::vector<LinearSite> sites{make_site("a", 4, 64)};
  const SparseWeights none{{"a", {}}};
  EXPECT_EQ(write_and_open(none, sites, at::kHalf), nullptr);
  EXPECT_TRUE(fs::is_empty(directory_));
  EXPECT_EQ(SparsePart::open(directory_, Json::object(), sites), nullptr);
  EXPECT_EQ(sparse_bytes(4, 64, 0), 0);
}

TEST_F(SparsePartTest, WhatIsNoStorableWeightOfALinearIsNotWritten) {
  const std::vector<LinearSite> sites{make_site("a", 4, 64)};
  const SparseWeight good = storable(random_sparse(4, 64, 0.3), at::kHalf);
  SparseWeight unrounded = good;
  unrounded.values = good.values + 0x1p-20F;
  EXPECT_THROW(write_sparse_part(directory_, {{"b", good}}, sites, at::kHalf), std::logic_error);
  EXPECT_THROW(sparse_config({{"b", good}}, sites), std::logic_error);
  EXPECT_THROW(write_sparse_part(directory_, {{"a", unrounded}}, sites, at::kHalf),
               std::logic_error);
  EXPECT_THROW(write_sparse_part(directory_, {{"a", good}}, {make_site("a", 5, 64)}, at::kHalf),
               std::logic_error);
  EXPECT_TRUE(fs::is_empty(directory_));
}

using Tensors = std::map<std::string, at::Tensor>;

/// A file with three values in the linear "a" [2, 300], one fault and the words that must name it.
struct Fault {
  const char* words;
  std::function<void(Tensors&, Json& config)> damage;
  bool at_open = true;  ///< found by the header, else when the weight is read
};

std::vector<Fault> faults_of_headers() {
  return {
      {"a.sparse_val is missing", [](Tensors& t, Json&) { t.erase("a.sparse_val"); }},
      {"a.sparse_row_ptr is missing", [](Tensors& t, Json&) { t.erase("a.sparse_row_ptr"); }},
      {"a.weight is none of the tensors", [](Tensors& t, Json&) { t["a.weight"] = at::ones({2}); }},
      {".sparse_val is none of the tensors",
       [](Tensors& t, Json&) { t[".sparse_val"] = at::ones({2}); }},
      {"b.sparse_val belongs to no quantized linear",
       [](Tensors& t, Json&) { t["b.sparse_val"] = at::ones({3}, at::kHalf); }},
      {"a.sparse_row_ptr has the dtype Long",
       [](Tensors& t, Json&) { t["a.sparse_row_ptr"] = t["a.sparse_row_ptr"].to(at::kLong); }},
      {"a.sparse_row_ptr has the shape [2], not [3]",
       [](Tensors& t, Json&) {
         t["a.sparse_row_ptr"] = at::tensor({0, 3}, at::kInt);
       }},
      {"a.sparse_col_idx has the dtype Int, not Short",
       [](Tensors& t, Json&) { t["a.sparse_col_idx"] = t["a.sparse_col_idx"].to(at::kInt); }},
      {"a.sparse_col_idx has the shape [3,1]",
       [](Tensors& t, Json&) {
         t["a.sparse_col_idx"] = t["a.sparse_col_idx"].reshape({3, 1});
       }},
      {"a.sparse_col_idx holds nothing",
       [](Tensors& t, Json&) { t["a.sparse_col_idx"] = at::zeros({}, at::kShort); }},
      {"a.sparse_val has the dtype Float",
       [](Tensors& t, Json&) { t["a.sparse_val"] = at::ones({3}); }},
      {"a.sparse_val has the shape [2], not [3]",
       [](Tensors& t, Json&) { t["a.sparse_val"] = at::ones({2}, at::kHalf); }},
      {"holds 3 values, but config.json tells of 4",
       [](Tensors&, Json& c) { c["ptq_sparse"]["values"] = 4; }},
      {"holds 24 bytes of tensors, but config.json tells of 1",
       [](Tensors&, Json& c) { c["ptq_sparse"]["bytes"] = 1; }},
      {"file is \"../x\"", [](Tensors&, Json& c) { c["ptq_sparse"]["file"] = "../x"; }},
      {"values", [](Tensors&, Json& c) { c["ptq_sparse"].erase("values"); }},
      {"ptq_sparse", [](Tensors&, Json& c) { c["ptq_sparse"] = 3; }},
      {"is there, but config.json has no ptq_sparse",
       [](Tensors&, Json& c) { c.erase("ptq_sparse"); }},
      {"is missing, but config.json tells of it", [](Tensors& t, Json&) { t.clear(); }},
  };
}

std::vector<Fault> faults_of_data() {
  const auto rows = [](std::vector<int> values) {
    return [values](Tensors& t, Json&) { t["a.sparse_row_ptr"] = at::tensor(values, at::kInt); };
  };
  const auto columns = [](std::vector<int> values) {
    return [values](Tensors& t, Json&) { t["a.sparse_col_idx"] = at::tensor(values, at::kShort); };
  };
  const auto value = [](float bad) {
    return [bad](Tensors& t, Json&) { t["a.sparse_val"][1] = bad; };
  };
  return {
      {"a.sparse_row_ptr begins with 1", rows({1, 2, 3}), false},
      {"a.sparse_row_ptr falls after row 1", rows({0, 4, 3}), false},
      {"a.sparse_row_ptr falls after row 0", rows({0, -1, 3}), false},
      {"a.sparse_row_ptr ends with 2, but there are 3", rows({0, 2, 2}), false},
      {"a.sparse_row_ptr ends with 1000000, but there are 3", rows({0, 2, 1000000}), false},
      {"a.sparse_col_idx has the column 300 in row 1", columns({0, 299, 300}), false},
      {"a.sparse_col_idx has the column -1 in row 0", columns({-1, 299, 0}), false},
      {"a.sparse_col_idx does not rise in row 0", columns({7, 7, 0}), false},
      {"a.sparse_col_idx does not rise in row 0", columns({8, 7, 0}), false},
      {"a.sparse_val holds a value that is not finite", value(INFINITY), false},
      {"a.sparse_val holds a value that is not finite", value(NAN), false},
  };
}

TEST_F(SparsePartTest, EveryFaultIsNamed) {
  std::vector<Fault> faults = faults_of_headers();
  for (const Fault& fault : faults_of_data())
    faults.push_back(fault);
  for (const Fault& fault : faults) {
    fs::remove(directory_ / kSparseFile);
    Tensors tensors{{"a.sparse_row_ptr", at::tensor({0, 2, 3}, at::kInt)},
                    {"a.sparse_col_idx", at::tensor({0, 299, 0}, at::kShort)},
                    {"a.sparse_val", at::tensor({1.0F, -2.0F, 3.0F}).to(at::kHalf)}};
    Json config{
        {"ptq_sparse", {{"file", kSparseFile}, {"values", 3}, {"bytes", sparse_bytes(2, 300, 3)}}}};
    fault.damage(tensors, config);
    if (!tensors.empty()) write_safetensors(directory_ / kSparseFile, tensors);
    bool opened = false;
    try {
      const auto part = SparsePart::open(directory_, config, {make_site("a", 2, 300)});
      opened = true;
      part->find("a");
      ADD_FAILURE() << "not found: " << fault.words;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(fault.words), std::string::npos) << error.what();
    }
    EXPECT_EQ(opened, !fault.at_open) << fault.words;
  }
}

}  // namespace
}  // namespace ptq
