// What a stored format gives to the table in formats.cc: how it checks, lays out, encodes and reads a matrix.
// docs/how-to/add-a-format.md has the steps to add one.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// A field of PackedShape besides rows and cols, under the name that manifests and errors give it.
struct ShapeField {
  std::string_view name;
  std::variant<int PackedShape::*, int64_t PackedShape::*> member;

  [[nodiscard]] int64_t Get(const PackedShape& shape) const;
  // A value past the member's range becomes the end of the range, which no format takes.
  void Set(PackedShape& shape, int64_t value) const;
};

inline constexpr ShapeField kBitsField = {"bits", &PackedShape::bits};
inline constexpr ShapeField kGroupSizeField = {"group_size", &PackedShape::group_size};
inline constexpr ShapeField kOutliersField = {"outliers", &PackedShape::outliers};
inline constexpr ShapeField kScaleBitsField = {"scale_bits", &PackedShape::scale_bits};
inline constexpr std::array kShapeFields = {kBitsField, kGroupSizeField, kOutliersField, kScaleBitsField};

// One kind of stored matrix and one version of it. A version never changes once artifacts hold it: what changes bytes
// is another version.
struct Format {
  std::string_view tag;                // "affine"; in manifests, recipes and errors
  int version;                         // 1 or more
  std::array<char, 8> magic;           // the first bytes of a blob; the version follows as u32
  std::span<const ShapeField> fields;  // that it has, of kShapeFields; a manifest holds them

  // INVALID_ARGUMENT naming the field. Rows, cols and the fields that the format lacks are checked already.
  absl::Status (*check)(const PackedShape& shape);
  // `shape` passes CheckPackedShape, here and below.
  PackedLayout (*layout)(const PackedShape& shape);
  // As EncodePacked; the shape is checked already.
  absl::StatusOr<std::vector<std::byte>> (*encode)(const PackedContent& content);
  // Reads the header of `bytes`, which begin with magic and version, and checks every byte: what it accepts, `encode`
  // gives. DATA_LOSS naming what is wrong. The shape that it returns has this format.
  absl::StatusOr<PackedShape> (*open)(const Format& format, std::span<const std::byte> bytes);
  // As PackedView's functions of these names. Null if the format has no outliers.
  void (*for_each_outlier)(const PackedView& view, absl::FunctionRef<void(const PackedView::Outlier&)> visit);
  absl::Status (*for_each_row)(const PackedView& view,
                               absl::FunctionRef<absl::Status(int64_t, std::span<const float>)> visit);
};

// One a file, two versions of the same kind in one.
extern const Format kAffine2;

// The table is in formats.cc. kAffine1 stands first.
[[nodiscard]] std::span<const Format* const> KnownFormats();
// INVALID_ARGUMENT at "format" or "version", naming what was asked for and what is known.
[[nodiscard]] absl::StatusOr<const Format*> FindFormat(std::string_view tag, int64_t version);
// "affine version 2".
[[nodiscard]] std::string FormatName(const Format& format);
// "affine version 1 of 4 x 16, bits 4, group_size 8, outliers 1": for errors.
[[nodiscard]] std::string DescribeShape(const PackedShape& shape);
// `shape` as `format` stores it: fields that the format lacks take their defaults.
[[nodiscard]] PackedShape InFormat(const Format& format, PackedShape shape);

}  // namespace gwq
