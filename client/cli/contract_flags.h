// A quality contract as flags.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::cli {

struct ContractArguments {
  std::optional<double> max_mean_kl, min_same_top1, max_bits;
  std::vector<std::string> floors;  // as ParseFloor reads them
};

// --max-mean-kl, --min-same-top1, --max-bits and --require. `arguments` outlives the app's parse.
void AddContractFlags(CLI::App& command, ContractArguments& arguments);
// None if no flag was given. INVALID_ARGUMENT at "require".
[[nodiscard]] absl::StatusOr<std::optional<v1::QualityContract>> ContractOf(const ContractArguments& arguments);
// "NAME:metric>=value" or "NAME:metric<=value"; NAME is an evaluation's name or index.
[[nodiscard]] absl::StatusOr<v1::QualityFloor> ParseFloor(std::string_view text);

}  // namespace gwq::cli
