// What the client reads on its own machine: flags of several values, datasets, models, and the folder of a pull.
#include <gmock/gmock.h>

#include <fstream>

#include "client/library/folder_lock.h"
#include "client/library/key_values.h"
#include "client/library/local_dataset.h"
#include "client/library/vqa.h"
#include "tests/client/progress_record.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::client {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Pair;

TEST(KeyValues, KeepTheirOrderAndWhatStandsBehindTheFirstEqualsSign) {
  EXPECT_THAT(*ParseKeyValues("rule", "z=rtn,b=c=d,a=="),
              ElementsAre(Pair("z", "rtn"), Pair("b", "c=d"), Pair("a", "=")));
  EXPECT_THAT(*ParseKeyValues("rule", "a="), ElementsAre(Pair("a", "")));
}

TEST(KeyValues, WhatIsNoPairOrStandsTwiceIsQuoted) {
  for (const auto& [text, part] : {std::pair("", "''"),
                                   {"bits=3,rtn", "'rtn'"},
                                   {"bits=3,", "''"},
                                   {"a=1,,b=2", "''"},
                                   {"=3", "'=3'"},
                                   {"bits=3,bits=3", "'bits'"},
                                   {"groupSize=3,group_size=4", "'group_size'"}}) {
    const absl::Status status = ParseKeyValues("rule", text).status();
    EXPECT_THAT(status, FailsAt("rule")) << text;
    EXPECT_THAT(status.ToString(), HasSubstr(part)) << text;
  }
}

class LocalFilesTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  // A file of so many bytes that occupies none.
  std::string WriteLarge(const std::string& name, uint64_t size) {
    std::filesystem::resize_file(Write(name, ""), size);
    return folder_ / name;
  }
  absl::StatusOr<LocalDataset> Dataset(const std::string& bytes, const std::string& name = "q.jsonl") {
    return ScanDataset(Write(name, bytes), progress_);
  }
  static std::vector<std::string> Names(const LocalModel& files) {
    std::vector<std::string> names;
    for (const LocalFile& file : files.files) names.push_back(file.name);
    return names;
  }

  const testing::TempFolder folder_;
  testing::ProgressRecord progress_;
};

using FolderLockTest = LocalFilesTest;
TEST_F(FolderLockTest, KeepsASecondOneOutUnderWhateverNameForAsLongAsItLives) {
  std::filesystem::create_directory(folder_ / "pulled");
  std::filesystem::create_directory_symlink(folder_ / "pulled", folder_ / "link");
  auto first = FolderLock::Take(folder_ / "pulled");
  ASSERT_THAT(first, IsOk());
  const absl::Status second = FolderLock::Take(folder_ / "link").status();
  EXPECT_THAT(second, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(second.ToString(), HasSubstr("link' is being written by another pull"));
  first->reset();
  EXPECT_THAT(FolderLock::Take(folder_ / "link"), IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "pulled")) << "nothing is left in it";
  EXPECT_THAT(FolderLock::Take(folder_ / "none").status().ToString(), HasSubstr("none': No such file"));
}

using DatasetTest = LocalFilesTest;
TEST_F(DatasetTest, TheFirstLineTellsWhatItIsMadeForAndATextIsRead) {
  Write("i.png", "image");
  EXPECT_EQ(Dataset("{ no JSON", "words.txt")->kind, EvaluationKind::kText);
  EXPECT_EQ(Dataset(R"({"context": "a", "choices": ["b", "c"], "answer": 0})")->kind, EvaluationKind::kChoices);
  EXPECT_EQ(Dataset(R"({"image": "i.png", "question": "q", "answers": ["a"]})")->kind, EvaluationKind::kVqa);
  EXPECT_EQ(Dataset(R"({"image": "i.png", "question": "q", "box": [1, 2, 3, 4]})")->kind, EvaluationKind::kGrounding);
}

TEST_F(DatasetTest, EachImageTravelsOnceUnderThePathThatTheLinesName) {
  Write("images/b.png", "bb");
  Write("a.png", "a");
  const std::string lines =
      "{\"images\": [\"images/b.png\", \"a.png\"], \"question\": \"q\", \"answers\": [\"x\"]}\n\n"
      "{\"image\": \"a.png\", \"question\": \"q\", \"answers\": [\"x\"]}\n";
  const auto dataset = Dataset(lines);
  ASSERT_THAT(dataset, IsOk());
  EXPECT_THAT(Names(dataset->files), ElementsAre("a.png", "images/b.png", "q.jsonl"));
  EXPECT_EQ(dataset->files.files[1].head.digest, Sha256Of("bb"));
  EXPECT_EQ(dataset->files.total_bytes, lines.size() + 3);
  Write("a.png", "A");
  EXPECT_NE(Dataset(lines)->files.fingerprint, dataset->files.fingerprint) << "another upload";
}

TEST_F(DatasetTest, NamesTheLineOrTheFileThatIsAtFault) {
  const std::string fine = R"({"context": "a", "choices": ["b", "c"], "answer": 0})"
                           "\n";
  EXPECT_THAT(Dataset(fine + "{"), FailsAt("line 2"));
  for (const char* const path : {"../secret.png", "/etc/passwd", "a//b.png"}) {
    EXPECT_THAT(Dataset(fine + R"({"question": "q", "image": ")" + path + "\"}"), FailsAt("line 2.image")) << path;
  }
  EXPECT_THAT(Dataset("\n \n"), FailsAt("dataset"));
  EXPECT_THAT(Dataset("a,b", "t.csv").status().ToString(),
              HasSubstr("t.csv: give a .jsonl file of questions or a .txt"));
  const std::string missing =
      Dataset(R"({"image": "none.png", "question": "q", "answers": ["x"]})").status().ToString();
  EXPECT_THAT(missing, HasSubstr(folder_ / "none.png"));
  EXPECT_EQ(missing.find("none.png"), missing.rfind("none.png")) << "once: " << missing;
}

TEST_F(LocalFilesTest, WhatIsTooLargeIsInvalidAndNotReadFirst) {
  const auto refused = [](const absl::Status& status, const char* text) {
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument)) << "to try again does not help";
    EXPECT_THAT(status.ToString(), HasSubstr(text));
  };
  refused(ScanDataset(WriteLarge("a.txt", (64 << 20) + 1), progress_).status(), "67108865 bytes, at most 67108864");
  refused(ScanDataset(WriteLarge("a.jsonl", (64 << 20) + 1), progress_).status(), "67108865 bytes, at most 67108864");
  refused(ReadImageFile(WriteLarge("a.png", (256 << 20) + 1)).status(), "268435457 bytes, at most 268435456");
}

class LocalModelTest : public LocalFilesTest {
 protected:
  LocalModelTest() {
    Weights(kTensors, "xyz");
    Write("config.json", "");
  }
  void Weights(const std::string& header, const std::string& data) {
    std::string bytes;
    testing::GgufBuilder::Put<uint64_t>(bytes, header.size());
    Write("model.safetensors", bytes + header + data);
  }
  absl::StatusOr<LocalModel> Scan() { return ScanModel(folder_.path(), progress_, &canceller_); }

  const std::string kTensors = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                                   "b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})";
  Canceller canceller_;
};

TEST_F(LocalModelTest, AFileIsCutIntoItsHeaderAndItsTensors) {
  const auto model = Scan();
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->files[0].head.digest, Sha256Of("")) << "an empty file is a file";
  const LocalFile& file = model->files[1];
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.head.size, 8 + kTensors.size());
  EXPECT_EQ(file.tensors[0].blob.digest, Sha256Of("xy"));
  EXPECT_EQ(file.tensors[1].tensor, "b");
  EXPECT_EQ(file.tensors[1].blob.offset, file.head.size + 2);
  EXPECT_EQ(model->total_bytes, file.head.size + 3);
}

TEST_F(LocalModelTest, TakesWhatAServiceReadsAndNamesTheUploadByIt) {
  const Digest first = Scan()->fingerprint;
  for (const char* const name :
       {".hidden.json", "gwq-manifest.json", "pytorch_model.bin", "logo.png", "folder.json/x"}) {
    Write(name, "x");
  }
  EXPECT_EQ(Scan()->fingerprint, first) << "left out";
  Weights(kTensors, "xyZ");
  EXPECT_NE(Scan()->fingerprint, first);
  for (const char* const name : {"LICENSE", "README.md", "chat.jinja", "merges.txt", "vocab.model"}) Write(name, "x");
  EXPECT_THAT(Names(*Scan()), ElementsAre("LICENSE", "README.md", "chat.jinja", "config.json", "merges.txt",
                                          "model.safetensors", "vocab.model"));
}

TEST_F(LocalModelTest, WhatIsNoModelIsToldByItsFile) {
  const auto refused = [&](const std::string& path, absl::StatusCode code, const char* text) {
    const absl::Status status = ScanModel(path, progress_).status();
    EXPECT_THAT(status, HasCode(code));
    EXPECT_THAT(status.ToString(), HasSubstr(text));
  };
  for (const auto& [header, data] : {std::pair("[]", ""), {kTensors.c_str(), "xy"}, {kTensors.c_str(), "xyz?"}}) {
    Weights(header, data);
    refused(folder_.path(), absl::StatusCode::kInvalidArgument, "model.safetensors: ");
  }
  std::filesystem::remove(folder_ / "model.safetensors");
  refused(folder_.path(), absl::StatusCode::kInvalidArgument, "holds no .safetensors file");
  refused(folder_ / "config.json", absl::StatusCode::kInvalidArgument, "give a Hugging Face directory or a GGUF file");
  refused(Write("model.gguf", "GGUF"), absl::StatusCode::kInvalidArgument, "model.gguf: ");
  refused(folder_ / "none", absl::StatusCode::kNotFound, "none': No such file");
}

TEST_F(LocalModelTest, ThePaddingOfAGgufFileIsNoBlobAndCountsAsDone) {
  testing::GgufBuilder builder;
  builder.Tensor("v", {5}, GgmlType::kF32, std::string(20, 'v'));
  builder.Tensor("w", {1}, GgmlType::kF32, "1234");
  const auto model = ScanModel(Write("model.gguf", builder.Build()), progress_);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->files[0].head.digest, Sha256Of(builder.Header()));
  EXPECT_EQ(model->files[0].tensors[0].blob.digest, Sha256Of(std::string(20, 'v')));
  EXPECT_EQ(model->files[0].tensors[1].blob.digest, Sha256Of("1234"));
  EXPECT_EQ(progress_.last_done, model->total_bytes);
}

TEST_F(LocalModelTest, EndsBetweenTwoPartsWhenItIsCancelled) {
  progress_.step = [this] { canceller_.Cancel(); };
  EXPECT_THAT(Scan(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_LT(progress_.last_done, progress_.last_total);
}

}  // namespace
}  // namespace gwq::client
