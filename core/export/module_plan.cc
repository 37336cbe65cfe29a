#include "core/export/module_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/base/status.h"
#include "core/export/half_tensor.h"
#include "core/export/uniform_widths.h"
#include "core/format/format.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr std::string_view kWeight = ".weight";

int64_t GroupSize(const PackedShape& packed, const IntegerLimits& limits) {
  const int64_t size = DividingGroup(packed);
  return limits.largest_group == 0 ? size : std::min(size & -size, limits.largest_group);
}

std::optional<IntegerShape> ShapeFor(const PackedShape& packed, std::optional<OutlierChoice> choice,
                                     const IntegerLimits& limits) {
  if (packed.format->tag != kAffine1.tag) return std::nullopt;
  if (packed.rows % limits.multiple != 0 || packed.cols % limits.multiple != 0) return std::nullopt;
  const std::span<const int> widths = limits.widths;
  IntegerShape shape{packed.rows, packed.cols, *std::ranges::lower_bound(widths, packed.bits),
                     GroupSize(packed, limits)};
  if (shape.group_size < limits.smallest_group) return std::nullopt;
  if (packed.outliers == 0 || choice == OutlierChoice::kDrop) return shape;
  if (choice == OutlierChoice::kFold || packed.bits >= widths.back()) return std::nullopt;
  shape.bits = widths.back();
  return shape;
}

absl::StatusOr<IntegerPlan> PlanIntegers(const ExportRun& run, const IntegerLimits& limits) {
  IntegerPlan plan;
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    const ManifestTensor* const stored = run.source.Find(spec.name);
    if (spec.kind != TensorKind::kLinear || stored == nullptr || !stored->packed) continue;
    if (const auto shape = ShapeFor(*stored->packed, run.options.outliers, limits)) plan.emplace(spec.name, *shape);
  }
  if (run.options.widths != WidthChoice::kMixed) MakeUniform(plan, limits.widths);
  return plan;
}

// Adds a tensor that the plan does not name.
absl::Status WriteHalfTensor(ExportRun& run, const TensorSpec& spec, ForeignModel& out) {
  WeightLoss loss;
  GWQ_ASSIGN_OR_RETURN(const Digest digest, HalfBlob(run.store, run.source, spec.name, loss, run.progress));
  if (run.source.Find(spec.name)->packed) run.report.matrices.push_back({spec.name, "FP16", loss});
  return out.AddBlob(spec.name, DType::kF16, spec.shape, digest);
}

}  // namespace

std::string ModuleName(std::string_view tensor) {
  return std::string(tensor.ends_with(kWeight) ? tensor.substr(0, tensor.size() - kWeight.size()) : tensor);
}

std::string IntegersText(const IntegerShape& shape) {
  return fmt::format("{} bits, groups of {}", shape.bits, shape.group_size);
}

absl::StatusOr<Digest> WriteIntegerModel(ExportRun& run, const IntegerFormat& format) {
  GWQ_ASSIGN_OR_RETURN(const IntegerPlan plan, PlanIntegers(run, format.limits));
  ForeignModel out(run.store, run.source);
  int64_t done = 0;
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    GWQ_RETURN_IF_ERROR(run.Step(done++));
    const auto shape = plan.find(spec.name);
    GWQ_RETURN_IF_ERROR(shape == plan.end() ? WriteHalfTensor(run, spec, out)
                                            : format.write(run, spec.name, shape->second, out));
  }
  GWQ_ASSIGN_OR_RETURN(nlohmann::json config, HalfConfig(run.source));
  if (!plan.empty()) {
    config["quantization_config"] = format.config(run, plan);
    if (!format.config_path.empty()) {
      GWQ_RETURN_IF_ERROR(out.SetFile(format.config_path, CanonicalJson(config["quantization_config"])));
    }
  }
  GWQ_RETURN_IF_ERROR(out.SetFile("config.json", CanonicalJson(config)));
  GWQ_RETURN_IF_ERROR(out.SetFile(kExportReportPath, run.ReportFile()));
  return out.FinishSafetensors();
}

}  // namespace gwq
