#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "core/base/status.h"
#include "core/format/format.h"

namespace gwq {
namespace {

constexpr std::array<const Format*, 2> kFormats = {&kAffine1, &kAffine2};

bool Has(const Format& format, const ShapeField& field) {
  return std::ranges::find(format.fields, field.name, &ShapeField::name) != format.fields.end();
}

}  // namespace

int64_t ShapeField::Get(const PackedShape& shape) const {
  return std::visit([&](auto field) { return static_cast<int64_t>(shape.*field); }, member);
}

void ShapeField::Set(PackedShape& shape, int64_t value) const {
  std::visit(
      [&](auto field) {
        using Value = std::remove_reference_t<decltype(shape.*field)>;
        constexpr int64_t kLow = std::numeric_limits<Value>::min();
        constexpr int64_t kHigh = std::numeric_limits<Value>::max();
        shape.*field = static_cast<Value>(std::clamp(value, kLow, kHigh));
      },
      member);
}

std::span<const Format* const> KnownFormats() { return kFormats; }

absl::StatusOr<const Format*> FindFormat(std::string_view tag, int64_t version) {
  bool known_tag = false;
  std::vector<std::string> known;
  for (const Format* format : kFormats) {
    if (format->tag == tag && format->version == version) return format;
    known_tag = known_tag || format->tag == tag;
    known.push_back(FormatName(*format));
  }
  if (!known_tag) {
    return InvalidField("format", fmt::format("'{}' is not a known format of a matrix; known are: {}",
                                              tag.substr(0, 64), fmt::join(known, ", ")));
  }
  return InvalidField(
      "version", fmt::format("{} of format '{}' is not known; known are: {}", version, tag, fmt::join(known, ", ")));
}

std::string FormatName(const Format& format) { return fmt::format("{} version {}", format.tag, format.version); }

std::string DescribeShape(const PackedShape& shape) {
  std::string text = fmt::format("{} of {} x {}", FormatName(*shape.format), shape.rows, shape.cols);
  for (const ShapeField& field : shape.format->fields) text += fmt::format(", {} {}", field.name, field.Get(shape));
  return text;
}

PackedShape InFormat(const Format& format, PackedShape shape) {
  const PackedShape defaults;
  for (const ShapeField& field : kShapeFields) {
    if (!Has(format, field)) field.Set(shape, field.Get(defaults));
  }
  shape.format = &format;
  return shape;
}

}  // namespace gwq
