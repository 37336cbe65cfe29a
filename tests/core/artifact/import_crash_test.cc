// An import under a crash at its durable steps: the manifest is whole or not there, and a second attempt ends the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using testing::IsOk;

// A tiny GGUF file, whose import writes a blob for every tensor.
std::string GgufFile() {
  testing::GgufBuilder builder;
  testing::AddTinyMetadata(builder);
  testing::AddTinyTokenizer(builder);
  const std::map<std::string, Shape> tensors = {
      {"token_embd", {24, 32}}, {"output_norm", {32}}, {"attn_norm", {32}},   {"ffn_norm", {32}},
      {"attn_q", {32, 32}},     {"attn_k", {16, 32}},  {"attn_v", {16, 32}},  {"attn_output", {32, 32}},
      {"ffn_gate", {64, 32}},   {"ffn_up", {64, 32}},  {"ffn_down", {32, 64}}};
  std::mt19937 random(5);
  const auto add = [&](const std::string& name, const Shape& shape) {
    const testing::TinyTensor tensor = testing::RandomTensor(shape, DType::kF32, random);
    builder.Tensor(name + ".weight", shape, GgmlType::kF32, tensor.bytes);
  };
  for (const auto& [name, shape] : tensors) {
    const bool in_block = name.starts_with("attn") || name.starts_with("ffn");
    if (!in_block) add(name, shape);
    for (int block = 0; in_block && block < 2; ++block) add(fmt::format("blk.{}.{}", block, name), shape);
  }
  return builder.Build();
}

Manifest Upload(BlobStore& store) {
  testing::UploadBuilder builder(store);
  builder.Gguf("model.gguf", GgufFile());
  return builder.Build();
}

TEST(ImportCrash, TheSecondAttemptGivesTheSameModel) {
  const testing::TempFolder reference;
  FaultFileSystem quick(LocalFileSystem());
  const auto kept = OpenLocalBlobStore(quick, reference.path(), SystemClock()).value();
  const auto expected = ImportModel(*kept, Upload(*kept), NoProgress());
  ASSERT_THAT(expected, IsOk());

  bool finished = false;
  // The commits of the tensors run side by side, so the steps interleave differently each time; every seventeenth of
  // the several hundred meets all kinds.
  for (int64_t step = 0; !finished; step += 17) {
    SCOPED_TRACE(fmt::format("crash at durable step {}", step));
    const testing::TempFolder folder;
    FaultFileSystem files(LocalFileSystem());
    const auto before_crash = OpenLocalBlobStore(files, folder.path(), SystemClock()).value();
    const Manifest manifest = Upload(*before_crash);
    files.CrashAt(files.operations() + step, CrashKind::kDropUnsynced);
    const auto first = ImportModel(*before_crash, manifest, NoProgress());
    finished = !files.crashed();
    if (finished) files.Crash(CrashKind::kDropUnsynced);
    files.Restart();

    const auto store = OpenLocalBlobStore(files, folder.path(), SystemClock()).value();
    const auto visible = StoredModel::Open(*store, *expected);
    EXPECT_EQ(visible.ok(), store->Stat(*expected).ok()) << "the manifest is there and cannot be opened";
    EXPECT_TRUE(visible.ok() || !first.ok()) << "an import that answered was lost";
    if (visible.ok()) {
      EXPECT_THAT((*visible)->Verify(NoProgress()), IsOk());
    }
    const auto second = ImportModel(*store, manifest, NoProgress());
    ASSERT_THAT(second, IsOk());
    EXPECT_EQ(*second, *expected);
    EXPECT_THAT(StoredModel::Open(*store, *second).value()->Verify(NoProgress()), IsOk());
  }
}

}  // namespace
}  // namespace gwq
