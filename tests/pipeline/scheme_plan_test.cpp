#include "ptq/pipeline/scheme_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch.h"
#include "ptq/core/error.h"

namespace {

using ptq::Json;
using ptq::read_scheme_plan;
using ptq::test::message_of;
using ptq::test::Scratch;
using ptq::test::write_bytes;
using testing::HasSubstr;

Json valid() {
  return {{"format", "ptq-plan"},
          {"checkpoint_format", "gptq"},
          {"inputs", {{"model", {{"model.safetensors", "aa"}}}}},
          {"linears",
           {{{"name", "a.q"}, {"scheme", "w3g64"}}, {{"name", "a.k"}, {"scheme", "w8-channel"}}}},
          {"left", {"a.v"}}};
}

TEST(SchemePlan, IsReadAsItIsWritten) {
  const Scratch scratch;
  write_bytes(scratch / "plan.json", valid().dump());
  const ptq::SchemePlan plan = read_scheme_plan(scratch / "plan.json");
  EXPECT_EQ(plan.schemes.at("a.q"), (ptq::QuantScheme{3, 64, true}));
  EXPECT_EQ(plan.schemes.at("a.k"), (ptq::QuantScheme{8, -1, true}));
  EXPECT_THAT(plan.left, testing::ElementsAre("a.v"));
  EXPECT_EQ(plan.checkpoint_format, "gptq");
  EXPECT_EQ(plan.model, (Json{{"model.safetensors", "aa"}}));
  EXPECT_EQ(plan.to_json(), (Json{{"a.q", "w3g64"}, {"a.k", "w8-channel"}, {"a.v", nullptr}}));
}

TEST(SchemePlan, IsRefusedWhereItIsBroken) {
  const Scratch scratch;
  const auto refusal = [&](const Json& content) {
    write_bytes(scratch / "plan.json", content.dump());
    return message_of<ptq::FormatError>([&] { read_scheme_plan(scratch / "plan.json"); });
  };
  for (const char* key : {"format", "checkpoint_format", "inputs", "linears", "left"}) {
    Json content = valid();
    content.erase(key);
    EXPECT_THAT(refusal(content), HasSubstr(key));
    for (const Json& wrong : {Json(3), Json("x"), Json::array({3}), Json{{"a", 1}}}) {
      content[key] = wrong;
      if (key == std::string("checkpoint_format") && wrong.is_string()) continue;
      EXPECT_THAT(refusal(content), HasSubstr("plan.json")) << key << " " << wrong;
    }
  }
  EXPECT_THAT(refusal(Json::array()), HasSubstr("no plan"));
  for (const char* scheme : {"w9g64", "w4", "", "w4g0"}) {
    Json content = valid();
    content["linears"][0]["scheme"] = scheme;
    EXPECT_THAT(refusal(content), HasSubstr("plan.json"));
  }
  Json twice = valid();
  twice["linears"][1]["name"] = "a.q";
  EXPECT_THAT(refusal(twice), HasSubstr("a.q twice"));
  twice = valid();
  twice["left"][0] = "a.k";
  EXPECT_THAT(refusal(twice), HasSubstr("a.k twice"));
  write_bytes(scratch / "plan.json", "{\"format\": \"ptq-plan\"");
  EXPECT_THROW(read_scheme_plan(scratch / "plan.json"), ptq::FormatError);
  EXPECT_THROW(read_scheme_plan(scratch / "absent.json"), ptq::ConfigError);
}

}  // namespace
