// The worked examples of docs/packed-format.md, byte for byte.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/base/tensor_view.h"
#include "core/format/format.h"

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

// Version 2: no outliers, scales of 8 bits.
PackedContent Example2() {
  PackedContent content;
  content.shape = {2, 10, 4, 8, 0, 8, &kAffine2};
  content.codes = {1, 2, 3, 4, 5, 6, 7, 8,  15, 0,  //
                   0, 9, 9, 9, 9, 9, 9, 10, 5,  6};
  content.scale_codes = {128, 64, 255, 1};
  content.row_scales = {FloatToHalf(1.0F), FloatToHalf(2.0F)};
  content.zeros = {7, 0, 9, 5};
  return content;
}

// The hex dump of that name in the document: lines "  0040  21 43 ..."; a line "*" repeats zeros up to the next offset.
std::vector<std::byte> DumpOf(const std::string& path, const std::string& block) {
  std::ifstream file(path);
  std::vector<std::byte> bytes;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = line == "```" + block;
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

std::string Page() {
  const char* source = std::getenv("GWQ_SOURCE_DIR");
  return std::string(source == nullptr ? "run it by ctest" : source) + "/docs/packed-format.md";
}

TEST(PackedExample, TheDocumentShowsTheBytes) {
  EXPECT_EQ(EncodePacked(Example()).value(), DumpOf(Page(), "hex"));
  EXPECT_EQ(EncodePacked(Example2()).value(), DumpOf(Page(), "hex-2"));
}

std::vector<float> WeightsOf(const PackedContent& content) {
  const auto blob = EncodePacked(content).value();
  std::vector<float> dense(20);
  PackedView::Open(blob).value().DequantizeAll(dense);
  return dense;
}

TEST(PackedExample, TheDocumentShowsTheWeights) {
  EXPECT_EQ(WeightsOf(Example()), (std::vector<float>{-3, -2.5, -2, -1.5, -1, -0.5, 10, 0.5,   3.75, 0,  //
                                                      -9, 0,    0,  0,    0,  0,    0,  -3.5F, 0,    0.125F}));
  EXPECT_EQ(WeightsOf(Example2()),
            (std::vector<float>{-3,           -2.5, -2, -1.5, -1, -0.5, 0, 0.5,        3.75, 0,  //
                                -17.9296875F, 0,    0,  0,    0,  0,    0, 1.9921875F, 0,    0.0078125F}));
}

}  // namespace
}  // namespace gwq
