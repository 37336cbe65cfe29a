#include "core/quant/job/packer.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/base/status.h"
#include "core/quant/quantizers.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// Square root of a share; a matrix of zeros loses nothing.
double RootShare(double part, double whole) { return whole > 0 ? std::sqrt(part / whole) : 0.0; }

ReportModule ReportOf(const PlannedModule& module) {
  ReportModule report;
  report.tensor = module.tensor;
  report.part = module.part;
  report.stage = module.stage;
  report.method = module.method;
  report.packed = module.packed;
  report.weights = module.weights;
  report.stored_bytes = module.stored_bytes;
  return report;
}

// A blob by name and numbers, as Packer::State writes them.
bool IsFigures(const Json& entry) {
  if (!entry.is_object() || !entry.contains("blob")) return false;
  for (const auto& [key, value] : entry.items()) {
    if (key == "blob" ? !value.is_string() : !value.is_number()) return false;
  }
  return true;
}

void AddErrors(const QuantizedMatrix& made, bool has_gradient, ReportModule& report) {
  report.norm = made.norm;
  report.error = made.error;
  report.relative_error = RootShare(made.error, made.norm);
  if (has_gradient) report.weighted_error = RootShare(made.weighted_error, made.weighted_norm);
  report.saturated = made.saturated;
}

}  // namespace

absl::StatusOr<DenseTensor> Packer::Matrix(const PlannedModule& module) const {
  GWQ_ASSIGN_OR_RETURN(DenseTensor tensor, source_.Dense(module.tensor));
  tensor.view.shape = MatrixShape(tensor.view.shape);
  return tensor;
}

absl::Status Packer::Pack(const PlannedModule& module, const MatrixEvidence& evidence, std::vector<float>* values) {
  const Quantizer* const quantizer = FindQuantizer(module.method);
  if (quantizer == nullptr) return absl::InternalError(fmt::format("{} is not to be packed", module.tensor));
  if (module.needs == Needs::kBlock || (module.needs == Needs::kGram && tools_.solver == nullptr)) {
    return absl::InternalError(fmt::format("{} is to be made outside of its walk", module.tensor));
  }
  GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, Matrix(module));
  const MatrixInput input{module.tensor, tensor.view, module.packed, evidence.gradient, evidence.gram, {}};
  GWQ_ASSIGN_OR_RETURN(const QuantizedMatrix made, quantizer->Quantize(input, recipe_, tools_));
  tensor.blob->DropPages();
  return Store(module, made, !evidence.gradient.empty(), values);
}

absl::Status Packer::PackBlock(std::span<const PlannedModule* const> modules,
                               std::span<const std::span<const float>> squares, BlockObjective& objective,
                               Progress& progress, const TakeValues& values) {
  std::vector<DenseTensor> tensors;
  std::vector<MatrixInput> inputs;
  for (size_t i = 0; i < modules.size(); ++i) {
    GWQ_ASSIGN_OR_RETURN(tensors.emplace_back(), Matrix(*modules[i]));
    inputs.push_back({modules[i]->tensor, tensors[i].view, modules[i]->packed, {}, {}, squares[i]});
  }
  const Quantizer* const quantizer = FindQuantizer(modules.front()->method);
  GWQ_ASSIGN_OR_RETURN(const std::vector<QuantizedMatrix> made,
                       quantizer->QuantizeBlock(inputs, objective, recipe_, tools_, progress));
  for (size_t i = 0; i < made.size(); ++i) {
    tensors[i].blob->DropPages();
    std::vector<float> one;
    GWQ_RETURN_IF_ERROR(Store(*modules[i], made[i], /*has_gradient=*/false, &one));
    NoteLosses(*modules[i], objective.losses());
    GWQ_RETURN_IF_ERROR(values(i, one));
  }
  return absl::OkStatus();
}

// A later Repack changes the matrix and not what its block's learning gained.
void Packer::NoteLosses(const PlannedModule& module, const std::optional<BlockLosses>& losses) {
  if (!losses) return;
  ReportModule& report = reports_.at(module.tensor);
  report.block_loss_before = losses->before;
  report.block_loss_after = losses->after;
}

absl::Status Packer::Store(const PlannedModule& module, const QuantizedMatrix& made, bool has_gradient,
                           std::vector<float>* values) {
  ReportModule report = ReportOf(module);
  AddErrors(made, has_gradient, report);
  if (const auto before = reports_.find(module.tensor); before != reports_.end()) {
    report.block_loss_before = before->second.block_loss_before;
    report.block_loss_after = before->second.block_loss_after;
  }
  reports_.insert_or_assign(module.tensor, std::move(report));
  GWQ_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, EncodePacked(made.content));
  if (values != nullptr) {
    GWQ_ASSIGN_OR_RETURN(const PackedView view, PackedView::Open(bytes));
    values->resize(module.weights);
    view.DequantizeAll(*values);
  }
  return writer_.AddPacked(module.tensor, bytes);
}

std::vector<ReportModule> Packer::Reports(const Plan& plan) const {
  std::vector<ReportModule> out;
  for (const PlannedModule& module : plan.modules) {
    if (const auto found = reports_.find(module.tensor); found != reports_.end()) out.push_back(found->second);
  }
  return out;
}

absl::StatusOr<Json> Packer::State() {
  GWQ_RETURN_IF_ERROR(writer_.Sync());
  Json out = Json::object();
  for (const auto& [tensor, report] : reports_) {
    Json one = {{"blob", writer_.BlobOf(tensor)->Hex()},
                {"norm", report.norm},
                {"error", report.error},
                {"relative_error", report.relative_error},
                {"saturated", report.saturated}};
    if (report.weighted_error) one["weighted_error"] = *report.weighted_error;
    if (report.block_loss_before) one["block_loss_before"] = *report.block_loss_before;
    if (report.block_loss_after) one["block_loss_after"] = *report.block_loss_after;
    out[tensor] = std::move(one);
  }
  return out;
}

absl::StatusOr<Packer::Restored> Packer::Check(const Json& state, const Plan& plan) const {
  Restored out;
  for (const PlannedModule& module : plan.modules) {
    const auto one = state.find(module.tensor);
    if (one == state.end()) continue;
    const auto blob = IsFigures(*one) ? Digest::Parse(one->value("blob", "")) : absl::DataLossError("no figures");
    const auto stored = blob.ok() ? writer_.store().Stat(*blob) : blob.status();
    if (!stored.ok() || stored->size != module.stored_bytes) {
      return absl::DataLossError(
          fmt::format("a checkpoint's entry for {} is malformed, or its blob is not there", module.tensor));
    }
    GWQ_RETURN_IF_ERROR(CheckWhole(writer_.store(), *blob));
    out.emplace_back(&module, *blob);
  }
  if (out.size() != state.size()) return absl::DataLossError("a checkpoint names tensors that are not of its plan");
  return out;
}

absl::Status Packer::Restore(const Json& state, const Restored& restored) {
  for (const auto& [planned, blob] : restored) {
    const PlannedModule& module = *planned;
    const auto one = state.find(module.tensor);
    GWQ_RETURN_IF_ERROR(writer_.AddPackedBlob(module.tensor, blob));
    ReportModule report = ReportOf(module);
    report.norm = one->value("norm", 0.0);
    report.error = one->value("error", 0.0);
    report.relative_error = one->value("relative_error", 0.0);
    report.saturated = one->value("saturated", int64_t{0});
    const auto optional = [&](const char* key) {
      return one->contains(key) ? std::optional(one->value(key, 0.0)) : std::nullopt;
    };
    report.weighted_error = optional("weighted_error");
    report.block_loss_before = optional("block_loss_before");
    report.block_loss_after = optional("block_loss_after");
    reports_.emplace(module.tensor, std::move(report));
  }
  return absl::OkStatus();
}

std::vector<Digest> Packer::Blobs() const {
  std::vector<Digest> out;
  for (const auto& [tensor, report] : reports_) out.push_back(*writer_.BlobOf(tensor));
  return out;
}

absl::StatusOr<PackedTensor> Packer::Stored(const PlannedModule& module) const {
  const Digest* const blob = writer_.BlobOf(module.tensor);
  if (blob == nullptr) return absl::InternalError(fmt::format("{} was not packed", module.tensor));
  GWQ_RETURN_IF_ERROR(writer_.Sync());
  PackedTensor out;
  GWQ_ASSIGN_OR_RETURN(out.blob, writer_.store().Materialize(*blob));
  GWQ_ASSIGN_OR_RETURN(out.view, PackedView::Open(out.blob->bytes()));
  return out;
}

absl::StatusOr<std::vector<float>> Packer::Values(const PlannedModule& module) const {
  GWQ_ASSIGN_OR_RETURN(const PackedTensor stored, Stored(module));
  std::vector<float> values(module.weights);
  stored.view.DequantizeAll(values);
  return values;
}

absl::Status Packer::Repack(const PlannedModule& module, QuantizedMatrix made) {
  GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, Matrix(module));
  MeasureErrors(tensor.view, {}, tools_.pool, made);
  tensor.blob->DropPages();
  GWQ_RETURN_IF_ERROR(writer_.Sync());
  writer_.Remove(module.tensor);
  return Store(module, made, /*has_gradient=*/false, nullptr);
}

}  // namespace gwq
