// Quality contracts between the API and core.
#pragma once

#include "core/spec/quality_contract.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq {

// Not checked.
[[nodiscard]] QualityContract ContractFromProto(const v1::QualityContract& proto);
[[nodiscard]] v1::QualityContract ContractToProto(const QualityContract& contract);

}  // namespace gwq
