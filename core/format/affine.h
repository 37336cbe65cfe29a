// The functions behind the format "affine", both versions. Internal to core/format.
#pragma once

#include "core/format/format.h"

namespace gwq {

[[nodiscard]] absl::Status CheckAffine(const PackedShape& shape);
[[nodiscard]] PackedLayout LayoutOfAffine(const PackedShape& shape);
[[nodiscard]] absl::StatusOr<std::vector<std::byte>> EncodeAffine(const PackedContent& content);
[[nodiscard]] absl::StatusOr<PackedShape> OpenAffine(const Format& format, std::span<const std::byte> bytes);

}  // namespace gwq
