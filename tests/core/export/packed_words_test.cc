#include "core/export/packed_words.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace gwq {
namespace {

TEST(PackedWords, CodesArePackedAsThePackageCompressedTensorsPacksThem) {
  const char* const root = std::getenv("GWQ_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/tests/core/export/golden/packed_words.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden.size(), 8u);
  for (const nlohmann::json& entry : golden) {
    const int bits = entry["bits"];
    std::vector<uint8_t> all;
    for (size_t row = 0; row < entry["codes"].size(); ++row) {
      const auto codes = entry["codes"][row].get<std::vector<uint8_t>>();
      std::vector<uint32_t> words(static_cast<size_t>(PackedWords(std::ssize(codes), bits)), 0xFFFFFFFF);
      PackWords(codes, bits, words);
      EXPECT_EQ(words, entry["along_rows"][row].get<std::vector<uint32_t>>()) << bits;
      all.insert(all.end(), codes.begin(), codes.end());
    }
    std::vector<uint32_t> down;
    for (const nlohmann::json& row : entry["down_columns"]) {
      const auto words = row.get<std::vector<uint32_t>>();
      down.insert(down.end(), words.begin(), words.end());
    }
    EXPECT_EQ(PackColumns(all, std::ssize(entry["codes"][0]), bits), down) << bits;
  }
}

}  // namespace
}  // namespace gwq
