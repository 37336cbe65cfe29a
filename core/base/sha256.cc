#include "core/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace gwq {

std::string Digest::Hex() const {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

absl::StatusOr<Digest> Digest::Parse(std::string_view hex) {
  const bool right = hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!right) {
    return absl::InvalidArgumentError(fmt::format("'{}' is not a SHA-256: give 64 lower-case hexadecimal characters",
                                                  absl::CHexEscape(std::string(hex.substr(0, 70)))));
  }
  const std::string raw = absl::HexStringToBytes(std::string(hex));
  Digest digest;
  for (size_t i = 0; i < raw.size(); ++i) digest.bytes[i] = static_cast<std::byte>(raw[i]);
  return digest;
}

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) { EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const std::byte> bytes) { EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()); }

void Sha256::Update(std::string_view text) { EVP_DigestUpdate(impl_->context, text.data(), text.size()); }

Digest Sha256::Finish() {
  Digest digest;
  unsigned int size = 0;
  EVP_DigestFinal_ex(impl_->context, reinterpret_cast<unsigned char*>(digest.bytes.data()), &size);
  return digest;
}

Digest Sha256Of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Digest Sha256Of(std::string_view text) { return Sha256Of(std::as_bytes(std::span(text))); }

}  // namespace gwq
