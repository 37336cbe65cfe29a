#include "server/common/authenticator.h"

#include <fmt/format.h>

#include <sstream>

#include "core/base/bearer_token.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace gwq {
namespace {

constexpr size_t kMinTokenLength = 16;
constexpr std::string_view kScheme = "Bearer ";

}  // namespace

absl::StatusOr<Authenticator> Authenticator::FromText(std::string_view text) {
  Authenticator out;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string token, principal, more;
    if (!(words >> token) || token[0] == '#') continue;
    if (!(words >> principal) || (words >> more)) {
      return absl::InvalidArgumentError(fmt::format("tokens: line {} is not 'TOKEN PRINCIPAL'", number));
    }
    if (token.size() < kMinTokenLength) {
      return absl::InvalidArgumentError(
          fmt::format("tokens: the token in line {} has {} characters, at least {} are needed", number, token.size(),
                      kMinTokenLength));
    }
    GWQ_RETURN_IF_ERROR(Annotate(CheckBearerToken(token), fmt::format("tokens: line {}", number)));
    if (!out.principals_.emplace(Sha256Of(token).Hex(), principal).second) {
      return absl::InvalidArgumentError(fmt::format("tokens: line {} repeats a token", number));
    }
  }
  if (out.principals_.empty()) return absl::InvalidArgumentError("tokens: the file names no token");
  return out;
}

void Authenticator::AddToken(std::string_view token, const std::string& principal) {
  if (checks()) principals_[Sha256Of(token).Hex()] = principal;
}

absl::StatusOr<std::string> Authenticator::Principal(std::string_view authorization) const {
  if (principals_.empty()) return std::string(kLocalPrincipal);
  if (!authorization.starts_with(kScheme)) {
    return absl::UnauthenticatedError("this service asks for the header 'authorization: Bearer TOKEN'");
  }
  const auto found = principals_.find(Sha256Of(authorization.substr(kScheme.size())).Hex());
  if (found == principals_.end()) return absl::UnauthenticatedError("the bearer token is not known here");
  return found->second;
}

}  // namespace gwq
