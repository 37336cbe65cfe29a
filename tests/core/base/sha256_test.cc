#include "core/base/sha256.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"

namespace gwq {
namespace {

// Test vectors of FIPS 180-4 (NIST CAVP, SHA-256 examples).
TEST(Sha256Test, GivesThePublishedDigests) {
  EXPECT_EQ(Sha256Of("").Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Of("abc").Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Of(std::string(1'000'000, 'a')).Hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PartsGiveTheSameDigestAsTheWhole) {
  const std::string text(100'003, 'x');
  for (const size_t part : {1u, 63u, 64u, 65u, 4096u}) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += part) hash.Update(std::string_view(text).substr(at, part));
    EXPECT_EQ(hash.Finish(), Sha256Of(text)) << part;
  }
}

TEST(DigestTest, OnlySixtyFourLowerCaseHexCharactersAreADigest) {
  const std::string good(64, 'a');
  EXPECT_EQ(Digest::Parse(good)->Hex(), good);
  for (const std::string& bad : {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
                                 std::string(64, 'g'), std::string(63, 'a') + "\n", std::string(64, '\0')}) {
    EXPECT_EQ(Digest::Parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(DigestTest, TheRefusalShowsTheTextReadablyAndSaysWhatADigestIs) {
  EXPECT_EQ(MessageOf(Digest::Parse("ab\xff\n").status()),
            "'ab\\xff\\n' is not a SHA-256: give 64 lower-case hexadecimal characters");
  EXPECT_LT(MessageOf(Digest::Parse(std::string(1'000'000, '\xff')).status()).size(), 400u);
}

TEST(DigestTest, ComparesAndHashesByValueInTheOrderOfItsHex) {
  const Digest low = *Digest::Parse("00" + std::string(62, 'f'));
  const Digest high = *Digest::Parse("ff" + std::string(62, '0'));
  EXPECT_LT(low, high) << "bytes are unsigned";
  EXPECT_NE(low, high);
  EXPECT_EQ(low, *Digest::Parse(low.Hex()));
  const absl::flat_hash_map<Digest, int> numbers = {{low, 1}, {high, 2}};
  EXPECT_EQ(numbers.at(*Digest::Parse(high.Hex())), 2);
}

TEST(Sha256Test, BytesAndTextGiveTheSameDigestAndNothingAddsNothing) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(Sha256Of(std::as_bytes(std::span(text))), Sha256Of(text));
  Sha256 hash;
  hash.Update(std::string_view());
  hash.Update(text);
  hash.Update(std::span<const std::byte>());
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.Finish(), Sha256Of(text));
}

}  // namespace
}  // namespace gwq
