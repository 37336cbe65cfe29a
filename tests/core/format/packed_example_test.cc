// The worked example of docs/packed-format.md, byte for byte.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/base/tensor_view.h"
#include "core/format/packed_matrix.h"

namespace gwq {
namespace {

PackedContent Example() {
  PackedContent content;
  content.shape = {2, 10, 4, 8, 3};
  content.codes = {1, 2, 3, 4, 5, 6, 7, 8, 15, 0,  //
                   0, 9, 9, 9, 9, 9, 9, 9, 5,  5};
  content.scales = {FloatToHalf(0.5F), FloatToHalf(0.25F), FloatToHalf(1.0F), FloatToHalf(2.0F)};
  content.zeros = {7, 0, 9, 5};
  content.outlier_positions = {6, 17, 19};
  content.outlier_values = {FloatToHalf(10.0F), FloatToHalf(-3.5F), FloatToHalf(0.125F)};
  return content;
}

// The hex dump of the document: lines "  0040  21 43 ..."; a line "*" repeats zeros up to the next offset.
std::vector<std::byte> DumpOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::byte> bytes;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = line == "```hex";
      continue;
    }
    if (!inside || line.empty() || line[0] == '*') continue;
    std::istringstream words(line);
    std::string word;
    words >> word;
    bytes.resize(std::stoul(word, nullptr, 16));
    while (words >> word) bytes.push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
  }
  return bytes;
}

TEST(PackedExample, TheDocumentShowsTheBytes) {
  const char* source = std::getenv("GWQ_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run it by ctest";
  EXPECT_EQ(EncodePacked(Example()).value(), DumpOf(std::string(source) + "/docs/packed-format.md"));
}

TEST(PackedExample, TheDocumentShowsTheWeights) {
  const auto blob = EncodePacked(Example()).value();
  std::vector<float> dense(20);
  PackedView::Open(blob).value().DequantizeAll(dense);
  const std::vector<float> expected = {-3, -2.5, -2, -1.5, -1, -0.5, 10, 0.5,   3.75, 0,  //
                                       -9, 0,    0,  0,    0,  0,    0,  -3.5F, 0,    0.125F};
  EXPECT_EQ(dense, expected);
}

}  // namespace
}  // namespace gwq
