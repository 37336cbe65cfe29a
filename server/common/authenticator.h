// Who calls: a bearer token gives the principal.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

// The principal of everybody where no tokens are configured.
inline constexpr std::string_view kLocalPrincipal = "local";

// Any thread may ask; tokens are added before the service starts.
class Authenticator {
 public:
  // Everybody is kLocalPrincipal.
  Authenticator() = default;
  // A file of lines "TOKEN PRINCIPAL"; empty lines and lines that start with '#' are skipped. A token has at least 16
  // characters, and CheckBearerToken takes it.
  [[nodiscard]] static absl::StatusOr<Authenticator> FromText(std::string_view text);

  // One more token; what the service gives to its own workers. Does nothing where everybody is kLocalPrincipal.
  void AddToken(std::string_view token, const std::string& principal);
  // Whether tokens are asked for.
  [[nodiscard]] bool checks() const { return !principals_.empty(); }

  // `authorization` is the header's value, "Bearer TOKEN". UNAUTHENTICATED where tokens are configured and it names
  // none of them.
  [[nodiscard]] absl::StatusOr<std::string> Principal(std::string_view authorization) const;

 private:
  // Keyed by the token's SHA-256: comparing digests tells nothing about how much of a token was right.
  std::map<std::string, std::string> principals_;
};

}  // namespace gwq
