#include "tests/core/vision/golden_images.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "core/base/sha256.h"
#include "tests/support/status_matchers.h"

namespace gwq::testing {

std::string GoldenFile(const std::string& name) {
  const char* root = std::getenv("GWQ_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/tests/golden/data/images/" + name, std::ios::binary);
  if (!file) {
    std::cerr << "no golden file " << name << " below GWQ_SOURCE_DIR\n";
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

const nlohmann::json& Goldens() {
  static const nlohmann::json goldens = nlohmann::json::parse(GoldenFile("goldens.json"));
  return goldens;
}

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

Image GoldenImage(const std::string& name) {
  auto image = DecodeImage(BytesOf(GoldenFile(name)));
  EXPECT_THAT(image, IsOk()) << name;
  return image.ok() ? *std::move(image) : Image();
}

std::string HexSha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish().Hex();
}

}  // namespace gwq::testing
