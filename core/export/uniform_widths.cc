#include "core/export/uniform_widths.h"

#include <functional>
#include <limits>
#include <numeric>
#include <set>

namespace gwq {
namespace {

using Plan = std::map<std::string, IntegerShape>;
using GroupSizes = std::set<int64_t, std::greater<>>;

struct Kind {
  int bits = 0;
  int64_t group_size = 0;
};

bool Fits(const IntegerShape& shape, const Kind& kind) {
  return shape.bits <= kind.bits && shape.group_size % kind.group_size == 0;
}

// Of codes, scales and zero points; of FP16 where the kind does not fit.
double StoredBits(const Plan& plan, const Kind& kind) {
  constexpr double kHalfBits = 16;
  const double bits = kind.bits + (kHalfBits + kind.bits) / static_cast<double>(kind.group_size);
  double total = 0;
  for (const auto& [name, shape] : plan) {
    total += static_cast<double>(shape.rows * shape.cols) * (Fits(shape, kind) ? bits : kHalfBits);
  }
  return total;
}

// The sizes of the plan, and the largest that divide two or all of them.
GroupSizes Candidates(const Plan& plan) {
  GroupSizes own;
  for (const auto& [name, shape] : plan) own.insert(shape.group_size);
  GroupSizes out = own;
  int64_t common = 0;
  for (const int64_t size : own) {
    common = std::gcd(common, size);
    for (const int64_t other : own) out.insert(std::gcd(size, other));
  }
  out.insert(common);
  return out;
}

}  // namespace

void MakeUniform(Plan& plan, std::span<const int> widths) {
  if (plan.empty()) return;
  Kind best;
  double least = std::numeric_limits<double>::infinity();
  for (const int bits : widths) {
    for (const int64_t group_size : Candidates(plan)) {
      const double size = StoredBits(plan, {bits, group_size});
      if (size >= least) continue;
      least = size;
      best = {bits, group_size};
    }
  }
  std::erase_if(plan, [&](const auto& entry) { return !Fits(entry.second, best); });
  for (auto& [name, shape] : plan) {
    shape.bits = best.bits;
    shape.group_size = best.group_size;
  }
}

}  // namespace gwq
