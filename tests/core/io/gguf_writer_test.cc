#include "core/io/gguf_writer.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;

TEST(GgufWriter, WhatItWritesIsRead) {
  GgufWriter writer;
  writer.Text("general.architecture", "llama");
  writer.U32("count", 7);
  writer.F32("half", 0.5F);
  writer.Bool("yes", true);
  const std::vector<std::string> texts = {"a", "",
                                          "\xC4\xA0"
                                          "b"};
  writer.Texts("texts", texts);
  const std::vector<int32_t> ints = {3, -1};
  writer.Ints("ints", ints);
  const std::vector<float> floats = {-0.25F};
  writer.Floats("floats", floats);
  const std::vector<GgufTensor> tensors = {{"first", {2, 32}, GgmlType::kQ4_0, 0, 36},
                                           {"second", {3}, GgmlType::kF32, AlignGguf(36), 12}};
  std::string file = writer.Header(tensors);
  EXPECT_EQ(file.size() % kGgufAlignment, 0u);
  const uint64_t header_size = file.size();
  file.resize(header_size + AlignGguf(AlignGguf(36) + 12));

  const auto header = ParseGgufHeader(std::as_bytes(std::span(file)), file.size());
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(header->header_size, header_size);
  EXPECT_EQ(*header->FindString("general.architecture"), "llama");
  EXPECT_EQ(*header->FindInt("count"), 7);
  EXPECT_EQ(*header->FindDouble("half"), 0.5);
  EXPECT_TRUE(*header->FindBool("yes"));
  EXPECT_EQ(std::get<std::vector<std::string>>(*header->FindArray("texts")), texts);
  EXPECT_EQ(std::get<std::vector<int64_t>>(*header->FindArray("ints")), (std::vector<int64_t>{3, -1}));
  EXPECT_EQ(std::get<std::vector<double>>(*header->FindArray("floats")), std::vector<double>{-0.25});
  ASSERT_EQ(header->tensors.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(header->tensors[i].name, tensors[i].name);
    EXPECT_EQ(header->tensors[i].shape, tensors[i].shape);
    EXPECT_EQ(header->tensors[i].type, tensors[i].type);
    EXPECT_EQ(header->tensors[i].offset, tensors[i].offset);
    EXPECT_EQ(header->tensors[i].size, tensors[i].size);
  }
}

}  // namespace
}  // namespace gwq
