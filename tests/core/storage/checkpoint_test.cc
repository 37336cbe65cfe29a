#include "core/storage/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

class CheckpointTest : public ::testing::Test {
 protected:
  Digest Put(std::string_view bytes) { return *PutBlob(*store_, std::as_bytes(std::span(bytes))); }
  Digest Scratch(std::string_view bytes) {
    const auto writer = *BeginScratch(*store_);
    EXPECT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
    return *writer->Commit();
  }
  std::string PathOf(const Digest& digest) {
    return folder_.path() + "/blobs/" + digest.Hex().substr(0, 2) + "/" + digest.Hex();
  }
  bool IsStored(const Digest& digest) { return store_->Stat(digest).ok(); }

  const testing::TempFolder folder_;
  const std::unique_ptr<BlobStore> store_ = *OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
};

TEST_F(CheckpointTest, IsReadAsItWasStored) {
  const Checkpoint stored{R"({"next":7,"shards":["a"]})", {Sha256Of("one"), Sha256Of("two")}, {Sha256Of("three")}};
  const Checkpoint read = *ReadCheckpoint(*store_, *StoreCheckpoint(*store_, stored));
  EXPECT_EQ(read.state, stored.state);
  EXPECT_EQ(read.blobs, stored.blobs);
  EXPECT_EQ(read.scratch, stored.scratch);
}

TEST_F(CheckpointTest, OneThatAnEarlierReleaseStoredHasNoScratch) {
  const Digest old = Put(R"({"blobs":[],"state":{"next":1}})");
  const auto read = ReadCheckpoint(*store_, old);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->scratch.empty());
}

TEST_F(CheckpointTest, ScratchOfTheSameBytesIsAnotherBlobEachTime) { EXPECT_NE(Scratch("same"), Scratch("same")); }

TEST_F(CheckpointTest, RemovesItselfAndItsScratchButForWhatIsKept) {
  const Digest gone = Scratch("gone"), kept = Scratch("kept"), shared = Put("shared");
  const Digest tensor = Put("somebody's tensor, named as scratch");
  const Digest checkpoint = *StoreCheckpoint(*store_, {"1", {shared}, {gone, kept, tensor}});
  RemoveScratch(*store_, checkpoint, {kept});
  EXPECT_TRUE(IsStored(tensor));
  EXPECT_FALSE(IsStored(gone));
  EXPECT_FALSE(IsStored(checkpoint));
  EXPECT_TRUE(IsStored(kept));
  EXPECT_TRUE(IsStored(shared));
  RemoveScratch(*store_, checkpoint, {});
  EXPECT_TRUE(IsStored(kept)) << "a checkpoint that is gone removes nothing";
}

TEST_F(CheckpointTest, WithoutScratchStaysBecauseAnotherJobMayHaveTheSame) {
  const Digest checkpoint = *StoreCheckpoint(*store_, {"1", {Put("shared")}, {}});
  RemoveScratch(*store_, checkpoint, {});
  EXPECT_TRUE(IsStored(checkpoint));
}

TEST_F(CheckpointTest, AListThatIsNoneIsRefused) {
  for (const char* const json :
       {R"({"blobs":{},"state":1})", R"({"blobs":[1],"state":1})", R"({"blobs":[],"scratch":7,"state":1})",
        R"({"blobs":[],"scratch":["x"],"state":1})"}) {
    EXPECT_EQ(ReadCheckpoint(*store_, Put(json)).status().code(), absl::StatusCode::kDataLoss) << json;
  }
}

TEST_F(CheckpointTest, OneChangedCharacterIsDataLoss) {
  const Digest checkpoint = *StoreCheckpoint(*store_, {R"({"stage":3})", {}});
  std::fstream file(PathOf(checkpoint), std::ios::in | std::ios::out);
  std::string json(std::istreambuf_iterator<char>(file), {});
  file.seekp(static_cast<std::streamoff>(json.find('3'))).put('2');
  file.close();
  EXPECT_EQ(ReadCheckpoint(*store_, checkpoint).status().code(), absl::StatusCode::kDataLoss);
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
