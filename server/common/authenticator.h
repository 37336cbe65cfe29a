// Finds the principal of a caller by its bearer token.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

// The principal of every caller if no tokens are configured.
inline constexpr std::string_view kLocalPrincipal = "local";

// Any thread may call Principal; tokens are added before the service starts.
class Authenticator {
 public:
  // Every caller is kLocalPrincipal.
  Authenticator() = default;
  // A file of lines "TOKEN PRINCIPAL"; empty lines and lines that start with '#' are skipped. A token has at least 16
  // characters and passes CheckBearerToken.
  [[nodiscard]] static absl::StatusOr<Authenticator> FromText(std::string_view text);

  // Adds a token, for the service's own workers. Does nothing if every caller is kLocalPrincipal.
  void AddToken(std::string_view token, const std::string& principal);
  // Whether callers need a token.
  [[nodiscard]] bool checks() const { return !principals_.empty(); }

  // `authorization` is the header's value, "Bearer TOKEN". UNAUTHENTICATED if tokens are configured and it is not
  // one of them.
  [[nodiscard]] absl::StatusOr<std::string> Principal(std::string_view authorization) const;

 private:
  // Keyed by the token's SHA-256: the time to compare digests does not reveal how much of a token was right.
  std::map<std::string, std::string> principals_;
};

}  // namespace gwq
