// A quality contract held against a plan and a report.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "core/quant/plan.h"
#include "core/quant/report.h"
#include "core/spec/contract_check.h"
#include "core/spec/quality_contract.h"

namespace gwq {

// What is known before anything is computed: FAILED_PRECONDITION if the planned bits are above max_bits.
// The message begins with `path` + ".max_bits".
[[nodiscard]] absl::Status CheckPlannedBits(const QualityContract& contract, const Plan& plan, std::string_view path);

// What a contract is checked against: the bits of what was stored, and every metric of the artifact.
[[nodiscard]] QualityMeasures MeasuresOf(const Report& report);

}  // namespace gwq
