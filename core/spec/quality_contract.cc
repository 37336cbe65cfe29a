#include "core/spec/quality_contract.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/spec/contract_check.h"
#include "core/spec/evaluation_metrics.h"
#include "core/spec/recipe_table.h"

namespace gwq {
namespace {

using recipe_table::Limits;
using recipe_table::Table;

// An evaluation's name has at most 63 bytes; metrics are ours.
constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxFloors = 64;

const Table<QualityFloor>& FloorTable() {
  using namespace recipe_table;
  static const Table<QualityFloor> table = {
      Text("evaluation", &QualityFloor::evaluation, kMaxNameBytes, {}, "name or index of an evaluation of the job"),
      Text("metric", &QualityFloor::metric, kMaxNameBytes, {}, "that the evaluation gives"),
      Number("at_least", &QualityFloor::at_least, Limits{.low = -1e300, .high = 1e300}, "smallest value that meets it"),
      Number("at_most", &QualityFloor::at_most, Limits{.low = -1e300, .high = 1e300}, "largest value that meets it"),
  };
  return table;
}

const Table<QualityContract>& ContractTable() {
  using namespace recipe_table;
  static const Table<QualityContract> table = {
      Number("max_mean_kl", &QualityContract::max_mean_kl, Limits{.low = 0, .high = 1e6}, "largest mean KL divergence"),
      Number("min_same_top1", &QualityContract::min_same_top1, Limits{.low = 0, .high = 1},
             "smallest share of positions with the same most likely token"),
      Number("max_bits", &QualityContract::max_bits, Limits{.low = 0, .high = 64}, "bits per weight of the model"),
      Records("floors", &QualityContract::floors, FloorTable(), kMaxFloors),
  };
  return table;
}

bool Gives(const EvaluationTask& task, std::string_view metric) {
  return std::ranges::find(MetricsOf(task.kind), metric) != MetricsOf(task.kind).end();
}

absl::Status CheckGiven(bool asked, std::string_view metric, const std::vector<EvaluationTask>& evaluations,
                        const std::string& field) {
  const auto gives = [&](const EvaluationTask& task) { return Gives(task, metric); };
  if (!asked || std::ranges::any_of(evaluations, gives)) return absl::OkStatus();
  return InvalidField(
      field, fmt::format("no evaluation of the job gives {}; add one of kind text, or leave the bound out", metric));
}

absl::Status CheckFloor(const QualityFloor& floor, const std::vector<EvaluationTask>& evaluations,
                        const std::string& field) {
  std::vector<std::string> titles;
  for (const EvaluationTask& task : evaluations) titles.emplace_back(task.title());
  const std::optional<size_t> index = EvaluationIndex(floor.evaluation, titles);
  if (!index) {
    return InvalidField(
        field + ".evaluation",
        fmt::format("'{}' is not the name of one evaluation of the job, nor its index; there are: {}", floor.evaluation,
                    titles.empty() ? "none" : fmt::format("{}", fmt::join(titles, ", "))));
  }
  const EvaluationTask& task = evaluations[*index];
  if (Gives(task, floor.metric)) return absl::OkStatus();
  return InvalidField(field + ".metric",
                      fmt::format("an evaluation of kind '{}' gives no '{}'; it gives {}",
                                  EvaluationKindName(task.kind), floor.metric, fmt::join(MetricsOf(task.kind), ", ")));
}

}  // namespace

absl::Status CheckQualityContract(const QualityContract& contract, std::string_view path) {
  GWQ_RETURN_IF_ERROR(recipe_table::CheckRecord(ContractTable(), contract, path));
  for (size_t i = 0; i < contract.floors.size(); ++i) {
    const QualityFloor& floor = contract.floors[i];
    const std::string field = fmt::format("{}.floors[{}]", path, i);
    if (!floor.at_least && !floor.at_most) {
      return InvalidField(field, "has neither at_least nor at_most; give one of them");
    }
    if (floor.at_least && floor.at_most && *floor.at_least > *floor.at_most) {
      return InvalidField(field + ".at_least", fmt::format("{} is above at_most, {}; nothing can meet both",
                                                           *floor.at_least, *floor.at_most));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMeasured(const QualityContract& contract, const std::vector<EvaluationTask>& evaluations,
                           std::string_view path) {
  GWQ_RETURN_IF_ERROR(
      CheckGiven(contract.max_mean_kl.has_value(), "mean_kl", evaluations, fmt::format("{}.max_mean_kl", path)));
  GWQ_RETURN_IF_ERROR(
      CheckGiven(contract.min_same_top1.has_value(), "same_top1", evaluations, fmt::format("{}.min_same_top1", path)));
  for (size_t i = 0; i < contract.floors.size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckFloor(contract.floors[i], evaluations, fmt::format("{}.floors[{}]", path, i)));
  }
  return absl::OkStatus();
}

nlohmann::json QualityContractJson(const QualityContract& contract) {
  return recipe_table::PrintRecord(ContractTable(), contract);
}

absl::StatusOr<QualityContract> ParseQualityContract(const nlohmann::json& json, std::string_view path) {
  QualityContract contract;
  GWQ_RETURN_IF_ERROR(recipe_table::ParseRecord(ContractTable(), json, path, contract));
  GWQ_RETURN_IF_ERROR(CheckQualityContract(contract, path));
  return contract;
}

}  // namespace gwq
