#include "core/storage/checkpoint.h"

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

class CheckpointTest : public ::testing::Test {
 protected:
  const testing::TempFolder folder_;
  const std::unique_ptr<BlobStore> store_ = *OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
};

TEST_F(CheckpointTest, IsReadAsItWasStored) {
  const Checkpoint stored{R"({"next":7,"shards":["a"]})", {Sha256Of("one"), Sha256Of("two")}};
  const Checkpoint read = *ReadCheckpoint(*store_, *StoreCheckpoint(*store_, stored));
  EXPECT_EQ(read.state, stored.state);
  EXPECT_EQ(read.blobs, stored.blobs);
}

TEST_F(CheckpointTest, AStateThatIsNoJsonIsRefused) {
  EXPECT_EQ(StoreCheckpoint(*store_, {"next: 7", {}}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointTest, WhatIsMissingOrIsNoCheckpointIsDataLoss) {
  EXPECT_EQ(ReadCheckpoint(*store_, Sha256Of("nothing")).status().code(), absl::StatusCode::kDataLoss);
  for (const std::string_view text : {"text", "[]", R"({"blobs":[1],"state":{}})", R"({"blobs":["x"],"state":{}})",
                                      R"({"state":{}})", R"({"blobs":[]})"}) {
    const Digest digest = *PutBlob(*store_, std::as_bytes(std::span(text)));
    EXPECT_EQ(ReadCheckpoint(*store_, digest).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace gwq
