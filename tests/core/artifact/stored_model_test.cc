// Stored models: opened, loaded, verified, written anew.
#include "core/artifact/stored_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "core/artifact/import.h"
#include "core/artifact/writer.h"
#include "core/backend/cpu/cpu_backend.h"
#include "core/format/format.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/core/format/random_content.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";

// A weight that only remembers what it was loaded from.
class NotedWeight final : public Weight {
 public:
  explicit NotedWeight(Shape shape) : shape_(std::move(shape)) {}
  Shape shape() const override { return shape_; }
  uint64_t bytes() const override { return 0; }

 private:
  const Shape shape_;
};

class NotingBackend final : public Backend {
 public:
  std::string_view name() const override { return "noting"; }
  absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const TensorView& view) override {
    ++dense;
    return std::make_unique<NotedWeight>(view.shape);
  }
  absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const PackedView& view) override {
    ++packed;
    return std::make_unique<NotedWeight>(Shape{view.shape().rows, view.shape().cols});
  }
  absl::StatusOr<std::unique_ptr<KvCache>> CreateKvCache(const KvCacheShape&) override {
    return absl::UnimplementedError("no cache");
  }
  absl::StatusOr<std::unique_ptr<Pass>> Begin(const Batch&, KvCache*) override {
    return absl::UnimplementedError("no pass");
  }
  int dense = 0;
  int packed = 0;
};

class Stored : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
    testing::UploadBuilder upload(*store_);
    upload.File("config.json", testing::TinyConfig().dump());
    upload.File("tokenizer.json", testing::TinyTokenizer());
    upload.File("sub/notes.txt", "x");
    upload.Safetensors("model.safetensors",
                       testing::SafetensorsFile(testing::TinyWeights(testing::TinyConfig(), DType::kF16)));
    source_ = StoredModel::Open(*store_, ImportModel(*store_, upload.Build(), NoProgress()).value()).value();
  }

  std::vector<std::byte> PackedBytes(unsigned seed = 3) {
    std::mt19937 random(seed);
    PackedShape shape{.rows = 64, .cols = 32, .bits = 4, .group_size = 16, .outliers = 20};
    shape.scale_bits = scale_bits_;
    shape.format = format_;
    return EncodePacked(testing::RandomContent(shape, random)).value();
  }

  // Every tensor kept but kMatrix, which is packed; in order or backwards.
  absl::StatusOr<Digest> MakeArtifact(bool backwards = false) {
    ArtifactWriter writer(*store_, *source_);
    std::vector<TensorSpec> specs = source_->model()->tensors();
    if (backwards) std::ranges::reverse(specs);
    for (const TensorSpec& spec : specs) {
      GWQ_RETURN_IF_ERROR(spec.name == kMatrix ? writer.AddPacked(spec.name, PackedBytes()) : writer.Keep(spec.name));
    }
    return writer.FinishArtifact(R"({"bits":4})", R"({"threads":2})");
  }

  std::string BlobPath(const Digest& digest) const {
    return folder_ / ("blobs/" + digest.Hex().substr(0, 2) + "/" + digest.Hex());
  }

  // Flips one bit of a stored blob, as a failing disk would.
  void Damage(const Digest& digest, uint64_t at) {
    std::fstream file(BlobPath(digest), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    ASSERT_TRUE(file.good());
  }

  const Format* format_ = &kAffine1;
  int scale_bits_ = 16;
  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<const StoredModel> source_;
};

TEST_F(Stored, GivesFilesAndTensors) {
  EXPECT_EQ(source_->ReadFile("sub/notes.txt").value(), "x");
  EXPECT_THAT(source_->ReadFile("none"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(source_->TextFiles()->size(), 2u);
  const auto dense = source_->Dense(kMatrix);
  ASSERT_THAT(dense, IsOk());
  EXPECT_EQ(dense->view.shape, (Shape{64, 32}));
  EXPECT_EQ(dense->view.type, DType::kF16);
  EXPECT_THAT(source_->Packed(kMatrix), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(source_->Dense("none"), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(Stored, OpensOnlyAnImportedManifest) {
  EXPECT_THAT(StoredModel::Open(*store_, Sha256Of("none")), HasCode(absl::StatusCode::kNotFound));
  Manifest manifest = source_->manifest();
  manifest.architecture.clear();
  const std::string text = ManifestJson(manifest);
  const Digest digest = PutBlob(*store_, std::as_bytes(std::span(text))).value();
  EXPECT_THAT(StoredModel::Open(*store_, digest), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(Stored, AnArtifactHoldsItsPackedMatrices) {
  const auto digest = MakeArtifact();
  ASSERT_THAT(digest, IsOk());
  const auto artifact = StoredModel::Open(*store_, *digest).value();
  EXPECT_EQ(artifact->manifest().kind, "artifact");
  EXPECT_EQ(artifact->manifest().source, source_->digest());
  const auto packed = artifact->Packed(kMatrix);
  ASSERT_THAT(packed, IsOk());
  EXPECT_EQ(packed->view.shape().outliers, 20);
  EXPECT_EQ(artifact->Find(kMatrix)->kind, "linear");
  EXPECT_THAT(artifact->Verify(NoProgress()), IsOk());
}

TEST_F(Stored, MatricesOfVersion2AreWrittenVerifiedAndLoaded) {
  std::set<Digest> digests = {MakeArtifact().value()};
  format_ = &kAffine2;
  for (const int bits : {8, 16}) {
    scale_bits_ = bits;
    digests.insert(MakeArtifact().value());
    const auto artifact = StoredModel::Open(*store_, MakeArtifact().value()).value();
    EXPECT_THAT(artifact->Verify(NoProgress()), IsOk());
    EXPECT_EQ(artifact->Find(kMatrix)->packed->scale_bits, bits);
    EXPECT_EQ(artifact->Packed(kMatrix)->view.shape().format, &kAffine2);
    const auto backend = CreateCpuBackend({1, std::nullopt}).value();
    const auto spec = *std::ranges::find(artifact->model()->tensors(), kMatrix, &TensorSpec::name);
    const auto weight = MakeWeightLoader(*artifact, *backend)->Load(spec);
    ASSERT_THAT(weight, IsOk());
    EXPECT_EQ((*weight)->shape(), (Shape{64, 32}));
  }
  EXPECT_EQ(digests.size(), 3u);
}

// A manifest that says version 1 of a blob of version 2.
TEST_F(Stored, AHeaderOfAnotherVersionThanTheManifestSaysIsFound) {
  format_ = &kAffine2;
  Manifest manifest = StoredModel::Open(*store_, MakeArtifact().value()).value()->manifest();
  for (ManifestTensor& tensor : manifest.shards[0].tensors) {
    if (tensor.packed) tensor.packed->format = &kAffine1;
  }
  const std::string text = ManifestJson(manifest);
  const auto artifact = StoredModel::Open(*store_, PutBlob(*store_, std::as_bytes(std::span(text))).value()).value();
  EXPECT_THAT(artifact->Packed(kMatrix), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(artifact->Verify(NoProgress()), HasCode(absl::StatusCode::kDataLoss));
}

TEST_F(Stored, TheOrderAndTheTimeOfWritingDoNotShowInTheDigest) {
  const Digest first = MakeArtifact().value();
  clock_.Advance(1000);
  EXPECT_EQ(MakeArtifact(/*backwards=*/true).value(), first);
}

TEST_F(Stored, TheWriterRefusesWhatDoesNotFit) {
  ArtifactWriter writer(*store_, *source_);
  EXPECT_THAT(writer.Keep("none"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(writer.AddPacked("none", PackedBytes()), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(writer.AddPacked("model.layers.0.mlp.down_proj.weight", PackedBytes()),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(writer.AddDense(kMatrix, DType::kF32, PackedBytes()), HasCode(absl::StatusCode::kInvalidArgument));
  std::vector<std::byte> torn = PackedBytes();
  torn.pop_back();
  EXPECT_THAT(writer.AddPacked(kMatrix, torn), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(writer.Keep(kMatrix), IsOk());
  EXPECT_THAT(writer.Keep(kMatrix), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(writer.FinishModel(), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(Stored, ADequantizedModelIsAModel) {
  ArtifactWriter writer(*store_, *source_);
  const std::vector<std::byte> zeros(64 * 32 * 4);
  const Digest blob = PutBlob(*store_, zeros).value();
  for (const TensorSpec& spec : source_->model()->tensors()) {
    ASSERT_THAT(spec.name == kMatrix ? writer.AddDenseBlob(spec.name, DType::kF32, blob) : writer.Keep(spec.name),
                IsOk());
  }
  ASSERT_THAT(writer.SetFile("config.json", testing::TinyConfig().dump(1)), IsOk());
  const auto digest = writer.FinishModel();
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  EXPECT_EQ(model->manifest().kind, "model");
  EXPECT_EQ(model->ReadFile("config.json").value(), testing::TinyConfig().dump(1));
  EXPECT_EQ(model->Find(kMatrix)->dtype, "F32");
  // The file that a pull writes is a valid safetensors file.
  const ManifestShard& shard = model->manifest().shards[0];
  const std::string header = ReadBlob(*store_, shard.header, 1 << 20).value();
  EXPECT_THAT(ParseSafetensorsHeader(std::as_bytes(std::span(header)), shard.size), IsOk());
}

TEST_F(Stored, VerifyFindsOneFlippedBitInAnyBlob) {
  const auto artifact = StoredModel::Open(*store_, MakeArtifact().value()).value();
  for (const Digest& digest : artifact->manifest().Blobs()) {
    Damage(digest, 0);
    EXPECT_THAT(artifact->Verify(NoProgress()), HasCode(absl::StatusCode::kDataLoss)) << digest.Hex();
    Damage(digest, 0);
  }
  EXPECT_THAT(artifact->Verify(NoProgress()), IsOk());
}

// Named by what a user knows, a file or a tensor, and not as if the model itself were unknown.
TEST_F(Stored, VerifyFindsAMissingAndACutBlob) {
  const auto artifact = StoredModel::Open(*store_, MakeArtifact().value()).value();
  for (const Digest& digest : artifact->manifest().Blobs()) {
    const std::string text = ReadBlob(*store_, digest, 1 << 20).value();
    std::filesystem::resize_file(BlobPath(digest), text.size() - 1);
    EXPECT_THAT(artifact->Verify(NoProgress()), HasCode(absl::StatusCode::kDataLoss)) << digest.Hex();
    std::filesystem::remove(BlobPath(digest));
    const absl::Status status = artifact->Verify(NoProgress());
    EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss)) << digest.Hex();
    EXPECT_THAT(std::string(MessageOf(status)),
                ::testing::MatchesRegex("(model|config|tokenizer|sub/notes).*missing.*"));
    std::ofstream(BlobPath(digest), std::ios::binary) << text;
  }
  EXPECT_THAT(artifact->Verify(NoProgress()), IsOk());
}

TEST_F(Stored, TextFilesAreTheJsonAndTemplatesOfTheTopFolder) {
  ArtifactWriter writer(*store_, *source_);
  for (const TensorSpec& spec : source_->model()->tensors()) ASSERT_THAT(writer.Keep(spec.name), IsOk());
  for (const char* const path : {"chat_template.jinja", "model.safetensors.index.json", "sub/more.json", "notes.txt"}) {
    ASSERT_THAT(writer.SetFile(path, path), IsOk());
  }
  const auto files = StoredModel::Open(*store_, writer.FinishModel().value()).value()->TextFiles().value();
  std::set<std::string> names;
  for (const auto& [name, text] : files) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"chat_template.jinja", "config.json", "tokenizer.json"}));
  EXPECT_EQ(files.at("chat_template.jinja"), "chat_template.jinja");
}

TEST_F(Stored, TheWriterRefusesUnsafeFilesAndNamesWhatWasNotAdded) {
  ArtifactWriter writer(*store_, *source_);
  for (const char* const path : {"", "/a.json", "../a.json", "a//b.json"}) {
    EXPECT_THAT(writer.SetFile(path, "{}"), testing::FailsAt("path")) << path;
  }
  EXPECT_EQ(writer.BlobOf(kMatrix), nullptr);
  ASSERT_THAT(writer.AddDense(kMatrix, DType::kF16, std::vector<std::byte>(64 * 32 * 2)), IsOk());
  ASSERT_THAT(writer.Sync(), IsOk());
  EXPECT_EQ(*writer.BlobOf(kMatrix), Sha256Of(std::string(64 * 32 * 2, '\0')));
  const absl::Status status = writer.FinishArtifact("{}", "{}").status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("model.embed_tokens.weight"));
}

TEST_F(Stored, VerifyStopsWhenItIsTold) {
  class Stop final : public Progress {
   public:
    void Step(std::string_view, int64_t, int64_t) override {}
    void Log(std::string_view) override {}
    absl::Status Check() override { return absl::CancelledError("stop"); }
  } stop;
  EXPECT_THAT(source_->Verify(stop), HasCode(absl::StatusCode::kCancelled));
}

TEST_F(Stored, TheLoaderSharesWhatIsAliveAndLoadsPackedAsPacked) {
  const auto artifact = StoredModel::Open(*store_, MakeArtifact().value()).value();
  NotingBackend backend;
  const auto loader = MakeWeightLoader(*artifact, backend);
  const auto spec = [&](std::string_view name) {
    return *std::ranges::find(artifact->model()->tensors(), name, &TensorSpec::name);
  };
  const auto table = loader->Load(spec("model.embed_tokens.weight"));
  ASSERT_THAT(table, IsOk());
  EXPECT_EQ(loader->Load(spec("model.embed_tokens.weight")).value(), *table);
  EXPECT_EQ(backend.dense, 1);
  EXPECT_EQ(loader->Load(spec(kMatrix)).value()->shape(), (Shape{64, 32}));
  EXPECT_EQ(backend.packed, 1);
  ASSERT_THAT(loader->Load(spec(kMatrix)), IsOk());
  EXPECT_EQ(backend.packed, 2) << "the first copy was gone";
  TensorSpec wrong = spec(kMatrix);
  wrong.shape = {32, 64};
  EXPECT_THAT(loader->Load(wrong), HasCode(absl::StatusCode::kInvalidArgument));
  wrong.name = "none";
  EXPECT_THAT(loader->Load(wrong), HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace gwq
