// What every stored format must do. A test binary compiles format_conformance.cc and registers each format, version and
// option by INSTANTIATE_TEST_SUITE_P.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/format/format.h"

namespace gwq::testing {

struct FormatCase {
  std::string name;
  const Format* format;
  std::vector<PackedShape> shapes;  // that it takes, odd ones among them; the first is small
  PackedShape refused;              // one that it does not take
  std::function<PackedContent(const PackedShape&, std::mt19937&)> content;  // random
  std::function<PackedContent(const PackedView&)> read;                     // back, by the format's own view
  std::function<std::vector<float>(const PackedContent&)> dense;            // what it means, without looking at bytes
};

inline void PrintTo(const FormatCase& format, std::ostream* out) { *out << format.name; }
inline std::string FormatCaseName(const ::testing::TestParamInfo<FormatCase>& info) { return info.param.name; }

class FormatConformance : public ::testing::TestWithParam<FormatCase> {};

[[nodiscard]] bool SameContent(const PackedContent& a, const PackedContent& b);
// Encodes and reads `content` and compares all that can be read with it.
void ExpectRoundTrip(const FormatCase& format, const PackedContent& content);

}  // namespace gwq::testing
