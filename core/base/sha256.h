// SHA-256 (FIPS 180-4) over OpenSSL, and the digests that name blobs.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

// 32 bytes; compares and hashes by value.
struct Digest {
  std::array<std::byte, 32> bytes{};

  [[nodiscard]] std::string Hex() const;
  // Exactly 64 lower-case hexadecimal characters; anything else is INVALID_ARGUMENT.
  [[nodiscard]] static absl::StatusOr<Digest> Parse(std::string_view hex);

  friend bool operator==(const Digest&, const Digest&) = default;
  friend auto operator<=>(const Digest&, const Digest&) = default;
  template <class H>
  friend H AbslHashValue(H state, const Digest& digest) {
    return H::combine_contiguous(std::move(state), digest.bytes.data(), digest.bytes.size());
  }
};

// A running hash. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  // Ends the hash; call once.
  [[nodiscard]] Digest Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Digest Sha256Of(std::span<const std::byte> bytes);
[[nodiscard]] Digest Sha256Of(std::string_view text);

}  // namespace gwq
