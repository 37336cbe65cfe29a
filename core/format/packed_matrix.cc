#include "core/format/packed_matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "core/base/status.h"
#include "core/format/format.h"
#include "core/format/packed_header.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWeights = int64_t{1} << 40;

// The format whose magic and version `bytes` begin with.
absl::StatusOr<const Format*> FormatOfBytes(std::span<const std::byte> bytes) {
  PackedStart start;
  if (bytes.size() < sizeof(start)) {
    return BrokenMatrix(fmt::format("{} bytes, the start of its header alone has {}", bytes.size(), sizeof(start)));
  }
  std::memcpy(&start, bytes.data(), sizeof(start));
  std::vector<int> versions;
  std::set<std::string> magics;
  for (const Format* format : KnownFormats()) {
    magics.emplace(format->magic.begin(), format->magic.end());
    if (format->magic != start.magic) continue;
    if (static_cast<uint32_t>(format->version) == start.version) return format;
    versions.push_back(format->version);
  }
  if (versions.empty()) {
    return BrokenMatrix(fmt::format("begins with no format's name; known are: {}", fmt::join(magics, ", ")));
  }
  return BrokenMatrix(fmt::format("version {}, this program reads {}", start.version, fmt::join(versions, ", ")));
}

}  // namespace

absl::Status CheckPackedShape(const PackedShape& shape) {
  if (shape.rows < 1 || shape.rows > kMaxWeights) {
    return InvalidField("rows", fmt::format("{} is outside [1, 2^40]", shape.rows));
  }
  if (shape.cols < 1 || shape.cols > kMaxWeights / shape.rows) {
    return InvalidField("cols", fmt::format("{} with {} rows: a matrix has 1 to 2^40 weights", shape.cols, shape.rows));
  }
  const PackedShape own = InFormat(*shape.format, shape);
  for (const ShapeField& field : kShapeFields) {
    if (field.Get(own) == field.Get(shape)) continue;
    return InvalidField(field.name, fmt::format("{} in {}, which has no such field; leave it at {}", field.Get(shape),
                                                FormatName(*shape.format), field.Get(own)));
  }
  return shape.format->check(shape);
}

PackedLayout LayoutOf(const PackedShape& shape) { return shape.format->layout(shape); }

absl::StatusOr<std::vector<std::byte>> EncodePacked(const PackedContent& content) {
  GWQ_RETURN_IF_ERROR(CheckPackedShape(content.shape));
  return content.shape.format->encode(content);
}

absl::StatusOr<PackedView> PackedView::Open(std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(const Format* const format, FormatOfBytes(bytes));
  return OpenAs(*format, bytes);
}

absl::StatusOr<PackedView> PackedView::OpenAs(const Format& format, std::span<const std::byte> bytes) {
  PackedView view;
  GWQ_ASSIGN_OR_RETURN(view.shape_, format.open(format, bytes));
  view.bytes_ = bytes;
  return view;
}

void PackedView::ForEachOutlier(absl::FunctionRef<void(const Outlier&)> visit) const {
  if (format().for_each_outlier != nullptr) format().for_each_outlier(*this, visit);
}

absl::Status PackedView::ForEachRow(absl::FunctionRef<absl::Status(int64_t, std::span<const float>)> visit) const {
  return format().for_each_row(*this, visit);
}

void PackedView::DequantizeAll(std::span<float> out) const {
  const absl::Status status = ForEachRow([&](int64_t row, std::span<const float> weights) {
    std::ranges::copy(weights, out.begin() + row * shape_.cols);
    return absl::OkStatus();
  });
  status.IgnoreError();  // the visit above returns none
}

}  // namespace gwq
