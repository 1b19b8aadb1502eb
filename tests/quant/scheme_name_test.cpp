#include "ptq/quant/scheme_name.h"

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::QuantScheme;

TEST(SchemeName, IsReadBackAsTheSchemeThatHasIt) {
  for (const int bits : {2, 3, 4, 8})
    for (const int64_t group : {-1, 1, 32, 128, 14336})
      for (const bool symmetric : {true, false}) {
        const QuantScheme scheme{bits, group, symmetric};
        EXPECT_EQ(ptq::parse_scheme_name(scheme.name()), scheme) << scheme.name();
      }
  for (const int bits : {2, 3, 4, 8}) {
    const QuantScheme scheme{bits, -1, true, true};
    EXPECT_EQ(ptq::parse_scheme_name(scheme.name()), scheme) << scheme.name();
  }
}

TEST(SchemeName, IsRefusedWhereItHasAnotherForm) {
  for (const char* name : {"",
                           "w",
                           "4g64",
                           "w4",
                           "w4g",
                           "w4-chan",
                           "w4g64-sym",
                           "w4g64-asym ",
                           "w4g0",
                           "w9g64",
                           "w1g64",
                           "w04g64",
                           "w4g064",
                           "w4g-1",
                           "wxg64",
                           "w4g64w4g64",
                           "w99999999999g64",
                           "w4g99999999999",
                           "W4g64",
                           "w4-channel-channel",
                           "w4-lookup-asym",
                           "w4g64-lookup",
                           "w-lookup",
                           "w9-lookup"})
    EXPECT_THROW(ptq::parse_scheme_name(name), ptq::ConfigError) << name;
}

}  // namespace
