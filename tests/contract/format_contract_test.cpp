// What every format must keep, whatever its layout: pack and unpack are inverses, and whatever it
// cannot hold is said beforehand and refused.
#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "formats/samples.h"
#include "ptq/core/error.h"
#include "ptq/formats/format.h"

namespace ptq {
namespace {

class FormatContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    format_ = formats().make(GetParam());
    if (format_->unsupported(make_site("a", 64, 64), usual_)) usual_ = {4, -1, true, true};
  }
  std::unique_ptr<CheckpointFormat> format_;
  QuantScheme usual_{4, 32, true};  ///< one that the format holds
};

struct Shape {
  int64_t out, in;
};
constexpr Shape kShapes[] = {{64, 64}, {100, 72}, {32, 96}, {7, 65}, {3, 1}, {128, 384}, {8, 80}};

template <class Body>
void for_each_case(const Body& body) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const int64_t group : {-1, 5, 8, 32})
      for (const bool symmetric : {true, false})
        for (const Shape& shape : kShapes)
          body(make_site("model.layers.0.x", shape.out, shape.in),
               QuantScheme{bits, group, symmetric});
  for (int bits = 2; bits <= 8; ++bits)
    for (const Shape& shape : kShapes)
      body(make_site("model.layers.0.x", shape.out, shape.in), QuantScheme{bits, -1, true, true});
}

TEST_P(FormatContract, UnpackInvertsPackOrTheSchemeIsRefused) {
  int held = 0;
  for_each_case([&](const LinearSite& site, const QuantScheme& scheme) {
    SCOPED_TRACE(scheme.name() + " " + std::to_string(site.out_features) + "x" +
                 std::to_string(site.in_features));
    const QuantizedTensor weight = random_weight(scheme, site.out_features, site.in_features);
    if (const auto reason = format_->unsupported(site, scheme)) {
      EXPECT_FALSE(reason->empty());
      EXPECT_THROW(format_->pack(site, weight, at::kBFloat16), UnsupportedError);
      return;
    }
    ++held;
    const MapSource packed(format_->pack(site, weight, at::kBFloat16));
    const QuantizedTensor read = format_->unpack(site, scheme, packed);
    EXPECT_NO_THROW(read.check());
    EXPECT_TRUE(identical(read, weight));
  });
  EXPECT_GE(held, 15);  // else nothing was shown
}

TEST_P(FormatContract, PackedTensorsBelongToTheSiteAndAreContiguous) {
  const LinearSite site = make_site("a.b", 64, 64);
  for (const auto& [name, tensor] :
       format_->pack(site, random_weight(usual_, 64, 64), at::kFloat)) {
    EXPECT_EQ(name.rfind("a.b.", 0), 0u) << name;
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    EXPECT_NE(name, "a.b.weight");
    EXPECT_NE(name, "a.b.bias");
  }
}

TEST_P(FormatContract, RefusesActivationOrderedGroups) {
  QuantizedTensor weight = random_weight(usual_, 64, 64);
  if (usual_.lookup) return;  // a table has no groups
  weight.group_of = weight.group_of.flip(0);
  EXPECT_THROW(format_->pack(make_site("a", 64, 64), weight, at::kFloat), UnsupportedError);
}

TEST_P(FormatContract, RefusesAValueThatIsNotStorable) {
  QuantizedTensor weight = random_weight(usual_, 64, 64);
  (usual_.lookup ? weight.table : weight.scale).fill_(0.1f);
  EXPECT_THROW(format_->pack(make_site("a", 64, 64), weight, at::kBFloat16), std::logic_error);
}

TEST_P(FormatContract, EveryPackedTensorIsNeededAndChecked) {
  const LinearSite site = make_site("a", 64, 64);
  const QuantScheme scheme = usual_;
  const auto good = format_->pack(site, random_weight(scheme, 64, 64), at::kFloat);
  for (const auto& [name, tensor] : good) {
    const auto fails_naming_it = [&](const MapSource& source) {
      try {
        format_->unpack(site, scheme, source);
        ADD_FAILURE() << name << " was accepted";
      } catch (const FormatError& error) {
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      }
    };
    MapSource missing(good), wrong_dtype(good), wrong_shape(good), too_short(good);
    missing.tensors.erase(name);
    fails_naming_it(missing);
    wrong_dtype.tensors[name] = tensor.to(at::kDouble);
    fails_naming_it(wrong_dtype);
    wrong_shape.tensors[name] = tensor.unsqueeze(0);
    fails_naming_it(wrong_shape);
    too_short.tensors[name] = tensor.narrow(0, 0, tensor.size(0) - 1);
    fails_naming_it(too_short);
    if (!tensor.is_floating_point()) continue;
    for (const double value : {0.0, std::nan(""), HUGE_VAL}) {
      if (scheme.lookup && value == 0) continue;
      MapSource bad_scale(good);
      (bad_scale.tensors[name] = tensor.clone())[0][0] = value;
      fails_naming_it(bad_scale);
    }
  }
}

TEST_P(FormatContract, ReadsItsOwnConfigAndNoOther) {
  const FormatContext context = uniform_context(llama_sites(1), usual_);
  const Json config = format_->config(context);
  for (const std::string& name : formats().names())
    EXPECT_EQ(formats().make(name)->reads(config), name == GetParam()) << name;
}

/// The plan that a reader finds in what `format` writes for `context`.
QuantPlan read_back(const CheckpointFormat& format, const FormatContext& context) {
  MapSource source({});
  for (const LinearSite& site : context.sites) {
    const auto found = context.plan.find(site.name);
    if (found == context.plan.end()) {
      source.tensors[site.name + ".weight"] = at::zeros({1});
      continue;
    }
    source.tensors.merge(format.pack(
        site, random_weight(found->second, site.out_features, site.in_features), at::kHalf));
  }
  EXPECT_TRUE(format.notes(context.plan, source).empty());
  // As it comes back from a file.
  return format.plan(Json::parse(format.config(context).dump()), context.sites, source);
}

TEST_P(FormatContract, PlanOfItsOwnConfigIsTheWrittenOne) {
  int held = 0;
  for (const QuantScheme& scheme :
       {QuantScheme{4, -1, true}, QuantScheme{4, 32, true}, QuantScheme{4, -1, false},
        QuantScheme{4, 32, false}, QuantScheme{3, -1, true, true}}) {
    FormatContext context = uniform_context(llama_sites(3), scheme);
    if (format_->unsupported(context.sites[0], scheme)) continue;
    ++held;
    EXPECT_EQ(read_back(*format_, context), context.plan);
    for (const LinearSite& site : context.sites)
      if (site.name.find("layers.1.self_attn") != std::string::npos) context.plan.erase(site.name);
    context.plan.erase("model.layers.2.mlp.up_proj");
    ASSERT_FALSE(format_->unsupported(context).has_value());
    EXPECT_EQ(read_back(*format_, context), context.plan);
  }
  EXPECT_GT(held, 0);
}

TEST_P(FormatContract, PlanOfAMixedConfigIsTheWrittenOneOrRefused) {
  FormatContext context = uniform_context(llama_sites(3), usual_);
  for (LinearSite& site : context.sites) {
    if (site.name.find("down_proj") != std::string::npos)
      context.plan[site.name] = {8, -1, true, usual_.lookup};
    if (site.name.find("layers.1.self_attn") != std::string::npos) context.plan.erase(site.name);
  }
  if (!usual_.lookup) context.plan["model.layers.2.mlp.up_proj"] = {4, 64, true};
  if (const auto reason = format_->unsupported(context)) {
    EXPECT_FALSE(reason->empty());
    return;
  }
  EXPECT_EQ(read_back(*format_, context), context.plan);
}

TEST_P(FormatContract, RefusesAQuantizedLayerThatIsNoSite) {
  const std::vector<LinearSite> sites = llama_sites(1);
  const FormatContext context = uniform_context(sites, usual_);
  MapSource source({});
  for (const LinearSite& site : sites)
    source.tensors.merge(
        format_->pack(site, random_weight(usual_, site.out_features, site.in_features), at::kHalf));
  source.tensors.merge(
      format_->pack(make_site("lm_head", 64, 128), random_weight(usual_, 64, 128), at::kHalf));
  EXPECT_THROW(format_->plan(format_->config(context), sites, source), UnsupportedError);
}

TEST_P(FormatContract, RefusesAPlanWithoutLinears) {
  FormatContext context = uniform_context(llama_sites(1), usual_);
  context.plan.clear();
  EXPECT_TRUE(format_->unsupported(context).has_value());
}

TEST_P(FormatContract, NamesEveryEngineOnceWithAReason) {
  const FormatContext context =
      uniform_context(llama_sites(1), usual_.lookup ? usual_ : QuantScheme{5, 8, false});
  std::set<std::string> engines;
  for (const EngineSupport& support : format_->engines(context)) {
    EXPECT_TRUE(engines.insert(support.engine).second);
    EXPECT_TRUE(support.loads || !support.note.empty()) << support.engine;
  }
  EXPECT_EQ(engines, (std::set<std::string>{"vLLM", "transformers", "SGLang", "llama.cpp"}));
}

INSTANTIATE_TEST_SUITE_P(Formats, FormatContract, testing::ValuesIn(formats().names()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace ptq
