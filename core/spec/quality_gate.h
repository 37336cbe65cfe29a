// The contract under which an artifact was published, with what was measured of it: what its manifest keeps, so that a
// server can see that it holds before it loads the artifact.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/spec/contract_check.h"
#include "core/spec/quality_contract.h"

namespace gwq {

struct QualityGate {
  QualityContract contract;
  QualityMeasures measures;
};

// Canonical JSON: {"contract":{...},"measures":{"bits":...,"evaluations":[{"metrics":{...},"name":...},...]}}.
[[nodiscard]] std::string QualityGateJson(const QualityGate& gate);
// INVALID_ARGUMENT at "quality.<field>".
[[nodiscard]] absl::StatusOr<QualityGate> ParseQualityGate(std::string_view json);

// FAILED_PRECONDITION naming each bound that the stored measures do not meet, or that the gate cannot be read. OK for
// an empty text: there is no gate.
[[nodiscard]] absl::Status CheckStoredGate(std::string_view gate_json);

}  // namespace gwq
