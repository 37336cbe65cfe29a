// Which matrices a format of integer codes stores as such, and how wide. Private to core/export.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/export/foreign_model.h"
#include "core/export/formats.h"
#include "core/export/integer_rows.h"

namespace gwq {

// "model.layers.0.mlp.up_proj" of "model.layers.0.mlp.up_proj.weight".
[[nodiscard]] std::string ModuleName(std::string_view tensor);

// What the readers of a format take.
struct IntegerLimits {
  std::span<const int> widths;  // ascending; the last is 8
  int64_t smallest_group = 1;   // columns
  int64_t largest_group = 0;    // 0: no limit; else groups are powers of two
  int64_t multiple = 1;         // of rows and of columns
};

// "4 bits, groups of 64".
[[nodiscard]] std::string IntegersText(const IntegerShape& shape);

// The matrices to store as integers, by the name of their tensor, each in the smallest width that holds its codes, and
// then, unless the options say "mixed", all in one (core/export/uniform_widths.h). All other tensors are FP16:
// embeddings, the head, matrices that the artifact holds dense, other stored formats than affine, matrices with
// outliers whose choice is "fold" or that are 8 bits wide and should go "wider", and those beyond the limits.
using IntegerPlan = std::map<std::string, IntegerShape>;

// What a Hugging Face directory with integers has of its own.
struct IntegerFormat {
  IntegerLimits limits;
  // Adds the tensors of one planned matrix.
  absl::Status (*write)(ExportRun& run, const std::string& name, const IntegerShape& shape, ForeignModel& out);
  // "quantization_config" of config.json; not asked for where the plan is empty.
  nlohmann::json (*config)(const ExportRun& run, const IntegerPlan& plan);
  std::string_view config_path;  // of a file that holds it once more; empty: there is none
};

// Writes all tensors, planned ones as integers and the others in FP16, the configuration and the report.
[[nodiscard]] absl::StatusOr<Digest> WriteIntegerModel(ExportRun& run, const IntegerFormat& format);

}  // namespace gwq
