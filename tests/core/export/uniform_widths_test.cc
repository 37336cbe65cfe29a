#include "core/export/uniform_widths.h"

#include <gtest/gtest.h>

#include <array>

namespace gwq {
namespace {

constexpr std::array kWidths = {2, 3, 4, 8};

using Plan = std::map<std::string, IntegerShape>;

// Matrices of one size: `count` of each kind.
struct Some {
  int count = 0;
  int bits = 0;
  int64_t group_size = 0;
};
Plan Of(const std::vector<Some>& kinds) {
  Plan plan;
  for (const Some& kind : kinds) {
    for (int i = 0; i < kind.count; ++i) {
      plan["m" + std::to_string(plan.size())] = {1024, 768, kind.bits, kind.group_size};
    }
  }
  MakeUniform(plan, kWidths);
  return plan;
}
void ExpectAll(const Plan& plan, size_t count, int bits, int64_t group_size) {
  EXPECT_EQ(plan.size(), count);
  for (const auto& [name, shape] : plan) {
    EXPECT_EQ(shape.bits, bits) << name;
    EXPECT_EQ(shape.group_size, group_size) << name;
  }
}

TEST(UniformWidths, OneKindStaysAsItIs) {
  ExpectAll(Of({{3, 3, 64}}), 3, 3, 64);
  ExpectAll(Of({}), 0, 0, 0);
}

TEST(UniformWidths, NarrowerMatricesAreWidenedAndGroupsCut) { ExpectAll(Of({{3, 3, 128}, {9, 4, 64}}), 12, 4, 64); }

TEST(UniformWidths, AFewWideMatricesLeaveThePlan) { ExpectAll(Of({{2, 8, 64}, {20, 4, 64}}), 20, 4, 64); }

TEST(UniformWidths, ManyWideMatricesWidenTheOthers) { ExpectAll(Of({{5, 8, 64}, {5, 4, 64}}), 10, 8, 64); }

TEST(UniformWidths, GroupsOfDifferentRowsTakeTheLargestCommonSize) {
  ExpectAll(Of({{5, 4, 768}, {5, 4, 512}}), 10, 4, 256);
}

// Scales for each 8 weights of all ten would cost more than one matrix in FP16.
TEST(UniformWidths, OneMatrixWithTinyGroupsLeavesThePlan) { ExpectAll(Of({{1, 4, 8}, {10, 4, 64}}), 10, 4, 64); }

}  // namespace
}  // namespace gwq
