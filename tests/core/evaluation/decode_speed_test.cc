#include "core/evaluation/decode_speed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::StoredGolden;

struct Family {
  std::string model;
  std::string processor;  // preprocessor_config.json; empty: it sees no images
};

const Family kFamilies[] = {
    {"llama-tied-f16-v4", ""},
    {"qwen2-untied-f32-v4", ""},
    {"qwen2-vl-tied-f16-v4",
     R"({"image_processor_type":"Qwen2VLImageProcessor","patch_size":2,"merge_size":2,"temporal_patch_size":2})"},
    {"idefics3-f32-v5",
     R"({"image_processor_type":"Idefics3ImageProcessor","size":{"longest_edge":36},"max_image_size":{"longest_edge":12}})"},
};

std::map<std::string, std::string> FilesOf(const Family& family) {
  if (family.processor.empty()) return {};
  return {{"preprocessor_config.json", family.processor}};
}

class DecodeSpeedTest : public ::testing::TestWithParam<Family> {
 protected:
  StoredGolden golden_{GetParam().model, FilesOf(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(Families, DecodeSpeedTest, ::testing::ValuesIn(kFamilies), [](const auto& info) {
  std::string name = info.param.model;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST_P(DecodeSpeedTest, IsMeasuredOfEveryFamily) {
  const auto speed = MeasureDecodeSpeed(golden_.store(), golden_.digest(), 1, NoProgress());
  ASSERT_THAT(speed, IsOk());
  ASSERT_TRUE(speed->has_value());
  EXPECT_GT(**speed, 1);
}

class Cancelled final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view) override {}
  absl::Status Check() override { return absl::CancelledError("cancelled"); }
};

TEST(DecodeSpeed, StopsWhenCancelled) {
  StoredGolden golden("llama-tied-f16-v4");
  Cancelled progress;
  EXPECT_THAT(MeasureDecodeSpeed(golden.store(), golden.digest(), 1, progress), HasCode(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace gwq
