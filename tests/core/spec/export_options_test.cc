#include "core/spec/export_options.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;

TEST(ExportOptions, EveryNameIsReadAndWritten) {
  for (const auto& format : kExportFormatNames) {
    for (const std::string_view outliers : {"", "wider", "fold", "drop"}) {
      if (format.value == ExportFormat::kHalf && !outliers.empty()) continue;
      const auto options = ParseExportOptions({.format = std::string(format.name), .outliers = std::string(outliers)});
      ASSERT_TRUE(options.ok()) << options.status();
      EXPECT_EQ(options->format, format.value);
      EXPECT_EQ(OutliersText(*options), outliers);
      EXPECT_EQ(GgufTypeText(*options), "");
    }
  }
  for (const GgmlType type : kGgufExportTypes) {
    const auto options = ParseExportOptions({"gguf", "drop", std::string(GgmlTypeName(type))});
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(options->gguf_type, type);
    EXPECT_EQ(GgufTypeText(*options), GgmlTypeName(type));
  }
}

TEST(ExportOptions, WidthsAreReadAndWrittenForFormatsOfIntegers) {
  for (const char* const format : {"compressed-tensors", "gptq"}) {
    for (const char* const widths : {"", "uniform", "mixed"}) {
      const auto options = ParseExportOptions({.format = format, .widths = widths});
      ASSERT_TRUE(options.ok()) << options.status();
      EXPECT_EQ(WidthsText(*options), widths);
    }
  }
}

TEST(ExportOptions, UnknownNamesAreRefusedByField) {
  EXPECT_THAT(ParseExportOptions({"zip", "", ""}).status(), FailsAt("format"));
  EXPECT_THAT(ParseExportOptions({"", "", ""}).status(), FailsAt("format"));
  EXPECT_THAT(ParseExportOptions({"gptq", "keep", ""}).status(), FailsAt("outliers"));
  EXPECT_THAT(ParseExportOptions({.format = "gptq", .widths = "own"}).status(), FailsAt("widths"));
  EXPECT_THAT(ParseExportOptions({"gguf", "", "Q5_0"}).status(), FailsAt("gguf_type"));
  EXPECT_THAT(ParseExportOptions({"gguf", "", "F32"}).status(), FailsAt("gguf_type"))
      << "read, not written for matrices";
}

TEST(ExportOptions, WhatAFormatHasNoUseForIsRefused) {
  EXPECT_THAT(ParseExportOptions({"hf-fp16", "fold", ""}).status(), FailsAt("outliers"));
  EXPECT_THAT(ParseExportOptions({.format = "hf-fp16", .widths = "mixed"}).status(), FailsAt("widths"));
  EXPECT_THAT(ParseExportOptions({.format = "gguf", .widths = "uniform"}).status(), FailsAt("widths"));
  EXPECT_THAT(ParseExportOptions({"gptq", "", "Q4_0"}).status(), FailsAt("gguf_type"));
}

}  // namespace
}  // namespace gwq
