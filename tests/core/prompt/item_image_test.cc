// From an image file, alone or named by a dataset's line, to what a model's processor makes of it.
#include "core/prompt/item_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/prompt/image_rows.h"
#include "core/storage/local_blob_store.h"
#include "tests/core/prompt/seeing.h"
#include "tests/support/dataset_builder.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::FamilyNamed;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::Seeing;

std::span<const std::byte> BytesOf(const std::string& file) { return std::as_bytes(std::span(file)); }

absl::Status Stop() { return absl::CancelledError("the client is gone"); }

class ItemImageTest : public ::testing::Test {
 protected:
  // A dataset of one question about `files`' image.png.
  void Store(const std::string& image) {
    const auto digest = testing::MakeDataset(
        *store_,
        {{"q.jsonl", "\n{\"question\":\"what?\",\"image\":\"image.png\",\"answer\":\"a\"}\n"}, {"image.png", image}});
    ASSERT_THAT(digest, IsOk());
    dataset_ = std::make_unique<StoredDataset>(*StoredDataset::Open(*store_, *digest));
  }
  absl::StatusOr<PreparedImage> Read(std::string_view path, const std::function<absl::Status()>& check = nullptr) {
    DatasetItem item;
    item.line = 2;
    return ReadItemImage(*dataset_, item, path, *seeing_.processor, check);
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<BlobStore> store_ = *OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
  const Seeing seeing_ = Seeing(FamilyNamed("qwen2-vl"));
  std::unique_ptr<StoredDataset> dataset_;
};

TEST_F(ItemImageTest, IsWhatTheProcessorPlansForItsSize) {
  Store(testing::StripedPng(40, 30, 1));
  const auto image = Read("image.png");
  ASSERT_THAT(image, IsOk());
  const PreparedImage plan = *seeing_.processor->Plan(40, 30);
  EXPECT_EQ(image->image_tokens, plan.image_tokens);
  EXPECT_EQ(image->original_width, 40);
  ASSERT_EQ(GridsOf(*image).size(), plan.tiles.size());
  EXPECT_EQ(GridsOf(*image)[0].high, plan.tiles[0].patches_high);
  EXPECT_EQ(GridsOf(*image)[0].wide, plan.tiles[0].patches_wide);
}

TEST_F(ItemImageTest, AFileThatIsMissingIsNamedWithItsLine) {
  Store(testing::StripedPng(40, 30, 1));
  const auto missing = Read("other.png");
  EXPECT_THAT(missing, FailsAt("line 2.image"));
  EXPECT_THAT(std::string(MessageOf(missing.status())), HasSubstr("'other.png'"));
}

TEST_F(ItemImageTest, AFileThatIsNoImageAndAShapeThatTheModelRefusesAreFaultsOfTheLine) {
  Store(testing::StripedPng(1000, 2, 1));
  EXPECT_THAT(Read("q.jsonl"), FailsAt("line 2.image"));
  const auto narrow = Read("image.png");
  EXPECT_THAT(narrow, FailsAt("line 2.image")) << "Qwen takes no aspect ratio over 200";
}

TEST_F(ItemImageTest, ACancelledReadStaysCancelledAndNamesTheLine) {
  Store(testing::StripedPng(40, 30, 1));
  const auto stopped = Read("image.png", Stop);
  EXPECT_THAT(stopped, HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(MessageOf(stopped.status()), "line 2.image: the client is gone");
}

TEST_F(ItemImageTest, TheCheckIsAskedOnceAndOnlyOfAnImageThatDecoded) {
  int asked = 0;
  const auto count = [&] {
    ++asked;
    return absl::OkStatus();
  };
  EXPECT_THAT(ReadImage(*seeing_.processor, BytesOf(testing::StripedPng(20, 20, 1)), {}, count), IsOk());
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(ReadImage(*seeing_.processor, BytesOf("no image"), {}, count).ok());
  EXPECT_EQ(asked, 1);
}

TEST_F(ItemImageTest, EveryBeginningOfAFileIsRefusedWithoutAField) {
  const std::string whole = testing::StripedPng(6, 5, 1);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto cut = ReadImage(*seeing_.processor, BytesOf(whole.substr(0, size)));
    ASSERT_THAT(cut, HasCode(absl::StatusCode::kInvalidArgument)) << size;
    EXPECT_TRUE(FieldViolations(cut.status()).empty());
  }
  EXPECT_THAT(ReadImage(*seeing_.processor, BytesOf(whole), {.max_pixels = 29}),
              HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace gwq
