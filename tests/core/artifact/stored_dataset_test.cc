// Datasets: what an import takes, at which place it refuses, and what is read back.
#include "core/artifact/stored_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/dataset_builder.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

constexpr char kQuestion[] = R"({"question":"Which shape?","image":"7.png","answer":"circle"})";

class Datasets : public ::testing::Test {
 protected:
  using Files = std::vector<std::pair<std::string, std::string>>;

  absl::StatusOr<Digest> Import(const Files& files) { return testing::MakeDataset(*store_, files); }
  StoredDataset Open(const Files& files) { return StoredDataset::Open(*store_, Import(files).value()).value(); }
  // 40 x 30 pixels.
  static std::string Picture() {
    return testing::PngFile(
        40, 30, [](int x, int y) { return testing::Rgb{static_cast<uint8_t>(x), static_cast<uint8_t>(y), 0}; });
  }

  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  std::unique_ptr<BlobStore> store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
};

TEST_F(Datasets, GiveBackTheirLinesItemsAndImages) {
  const std::string lines = std::string(kQuestion) + "\n\n" + kQuestion + "\n";
  const StoredDataset dataset = Open({{"7.png", Picture()}, {"q.jsonl", lines}});
  EXPECT_EQ(dataset.Lines().value(), lines);
  EXPECT_EQ(LinesFile(dataset.manifest())->path, "q.jsonl");
  const auto items = dataset.Items(EvaluationKind::kVqa, 0).value();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].line, 3) << "empty lines count";
  EXPECT_EQ(dataset.Image(items[0], "7.png").value(), Picture());
  EXPECT_THAT(dataset.Image(items[1], "8.png"), FailsAt("line 3.image"));
  EXPECT_EQ(dataset.Items(EvaluationKind::kVqa, 1)->size(), 1u);
  EXPECT_THAT(dataset.Items(EvaluationKind::kGrounding, 0), FailsAt("line 1.box"));
  EXPECT_THAT(dataset.Text(), FailsAt("files"));
}

TEST_F(Datasets, OfOneTextGiveItBack) {
  const StoredDataset dataset = Open({{"README.md", "about"}, {"text.txt", "né"}});
  EXPECT_EQ(dataset.Text().value(), "né");
  EXPECT_THAT(dataset.Lines(), FailsAt("files"));
  EXPECT_EQ(LinesFile(dataset.manifest()), nullptr);
  EXPECT_FALSE(HoldsImages(dataset.manifest()));
  EXPECT_THAT(Import({{"text.txt", "n\xE9"}}), FailsAt("files"));
}

// Cameras write .JPG, and a manifest takes it.
TEST_F(Datasets, ImagesAloneAreTakenHoweverTheirTypeIsSpelled) {
  for (const char* const name : {"a.png", "A.PNG", "DSC_1.JPG", "b.Jpeg", "c.WebP"}) {
    const auto made = Import({{name, Picture()}});
    ASSERT_THAT(made, IsOk()) << name;
    EXPECT_TRUE(HoldsImages(StoredDataset::Open(*store_, *made)->manifest())) << name;
  }
  EXPECT_THAT(Import({{"A.PNG", Picture()}, {"B.PNG", Picture().substr(0, 60)}}), FailsAt("files[1]"));
}

TEST_F(Datasets, WithoutOneFileToReadAreToldWhatToGive) {
  const std::vector<Files> wrong = {{},
                                    {{"README.md", "x"}},
                                    {{"README.md", "x"}, {"a.png", Picture()}},
                                    {{"a.txt", "x"}, {"b.txt", "y"}},
                                    {{"sub/a.txt", "x"}},
                                    {{"7.png", Picture()}, {"sub/q.jsonl", kQuestion}},
                                    {{"7.png", Picture()}, {"a.jsonl", kQuestion}, {"b.jsonl", kQuestion}}};
  for (const Files& files : wrong) {
    const auto made = Import(files);
    EXPECT_THAT(made, FailsAt("files"));
    EXPECT_THAT(std::string(MessageOf(made.status())), HasSubstr("one .jsonl or one .txt file in the top folder"));
  }
}

TEST_F(Datasets, AFaultOfALineIsNamedByNumberAndKey) {
  const auto import = [&](const std::string& lines) {
    return Import({{"7.png", Picture()}, {"broken.png", Picture().substr(0, 60)}, {"q.jsonl", lines}});
  };
  const auto box = [](const char* corners) {
    return R"({"question":"Where?","image":"7.png","box":[)" + std::string(corners) + "]}";
  };
  EXPECT_THAT(import("\n\n{"), FailsAt("line 3"));
  EXPECT_THAT(import(R"({"question":"?","image":"none.png","answer":"x"})"), FailsAt("line 1.image"));
  EXPECT_THAT(import(R"({"question":"?","image":"broken.png","answer":"x"})"), FailsAt("line 1.image"));
  EXPECT_THAT(import(R"({"question":"?","image":"7.png"})"), FailsAt("line 1.answer"));
  EXPECT_THAT(import(box("0,0,40,30")), IsOk()) << "the whole image";
  for (const char* const corners : {"0,0,41,30", "0,0,40,31"}) {
    const auto made = import(box("1,1,2,2") + "\n" + box(corners));
    EXPECT_THAT(made, FailsAt("line 2.box"));
    EXPECT_THAT(std::string(MessageOf(made.status())), HasSubstr("40 x 30 pixels"));
  }
}

TEST_F(Datasets, AreNoModelsAndModelsNoDatasets) {
  Manifest upload;
  upload.kind = "evaluation";
  EXPECT_THAT(ImportDataset(*store_, upload, NoProgress()), FailsAt("kind"));
  const std::string text = ManifestJson(upload);
  const Digest stored = PutBlob(*store_, std::as_bytes(std::span(text))).value();
  EXPECT_THAT(StoredDataset::Open(*store_, stored), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(StoredDataset::Open(*store_, Sha256Of("none")), HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace gwq
