#include "client/cli/contract_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "client/cli/checks.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq::cli {
namespace {

absl::Status NotAFloor(std::string_view text, std::string_view why) {
  return InvalidField("require", fmt::format("'{}' {}; write NAME:metric>=value or NAME:metric<=value, for example "
                                             "text:perplexity<=25",
                                             ToValidUtf8(text.substr(0, 200)), why));
}

}  // namespace

void AddContractFlags(CLI::App& command, ContractArguments& arguments) {
  command
      .add_option("--max-mean-kl", arguments.max_mean_kl,
                  "publish the artifact only if the mean KL divergence of every evaluation is at most this")
      ->check(NotNan);
  command
      .add_option("--min-same-top1", arguments.min_same_top1,
                  "... only if this share of positions, 0 to 1, has the same most likely token")
      ->check(NotNan);
  command
      .add_option("--max-bits", arguments.max_bits,
                  "... only if the whole model has at most this many bits per weight; known before the job starts")
      ->check(NotNan);
  command
      .add_option("--require", arguments.floors,
                  "... only if NAME:metric>=value (or <=) holds, where NAME is the name or index of an evaluation; may "
                  "be repeated")
      ->allow_extra_args(false);
}

absl::StatusOr<v1::QualityFloor> ParseFloor(std::string_view text) {
  if (!IsValidUtf8(text)) return NotAFloor(text, "is not valid UTF-8 text");
  const size_t colon = text.find(':');
  const size_t sign = std::min(text.find(">="), text.find("<="));
  if (colon == std::string_view::npos || sign == std::string_view::npos || colon > sign) {
    return NotAFloor(text, "has no ':' before '>=' or '<='");
  }
  if (colon == 0) return NotAFloor(text, "names no evaluation");
  if (colon + 1 == sign) return NotAFloor(text, "names no metric");
  double value = 0;
  if (!absl::SimpleAtod(std::string(text.substr(sign + 2)), &value) || !std::isfinite(value)) {
    return NotAFloor(text, "has no number at its end");
  }
  v1::QualityFloor floor;
  floor.set_evaluation(std::string(text.substr(0, colon)));
  floor.set_metric(std::string(text.substr(colon + 1, sign - colon - 1)));
  if (text[sign] == '>') {
    floor.set_at_least(value);
  } else {
    floor.set_at_most(value);
  }
  return floor;
}

absl::StatusOr<std::optional<v1::QualityContract>> ContractOf(const ContractArguments& arguments) {
  v1::QualityContract contract;
  if (arguments.max_mean_kl) contract.set_max_mean_kl(*arguments.max_mean_kl);
  if (arguments.min_same_top1) contract.set_min_same_top1(*arguments.min_same_top1);
  if (arguments.max_bits) contract.set_max_bits(*arguments.max_bits);
  for (const std::string& text : arguments.floors) {
    GWQ_ASSIGN_OR_RETURN(*contract.add_floors(), ParseFloor(text));
  }
  if (contract.ByteSizeLong() == 0) return std::nullopt;
  return contract;
}

}  // namespace gwq::cli
