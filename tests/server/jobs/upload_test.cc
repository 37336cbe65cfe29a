#include "core/base/sha256.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using google::longrunning::Operation;
using Stub = v1::ModelService::Stub;

class UploadTest : public JobsFixture {
 protected:
  // An upload that has declared the tiny model and lacks all of it.
  std::string Declared(const PushedModel& model) {
    const std::string upload = CreateUpload("tiny", model.total_bytes).name();
    v1::AddUploadFilesRequest page = model.page;
    page.set_upload(upload);
    v1::AddUploadFilesResponse added;
    EXPECT_TRUE(Call(*models_, &Stub::AddUploadFiles, page, &added).ok());
    return upload;
  }
  grpc::Status Add(const v1::AddUploadFilesRequest& page) {
    v1::AddUploadFilesResponse added;
    return Call(*models_, &Stub::AddUploadFiles, page, &added);
  }
};

TEST_F(UploadTest, APushBecomesAModelByItsOperation) {
  const PushedModel model = TinyModel();
  Operation operation;
  EXPECT_GT(Push(model, "tiny", &operation), 0u);
  EXPECT_FALSE(operation.done());
  v1::GetModelRequest get;
  get.set_name("models/tiny");
  v1::Model found;
  EXPECT_EQ(Call(*models_, &Stub::GetModel, get, &found).error_code(), grpc::StatusCode::NOT_FOUND)
      << "nothing is visible before the import";
  ASSERT_TRUE(RunOne());
  operation = OperationNow(operation.name());
  ASSERT_TRUE(operation.done());
  v1::Model made;
  ASSERT_TRUE(operation.response().UnpackTo(&made)) << operation.error().message();
  ASSERT_TRUE(Call(*models_, &Stub::GetModel, get, &found).ok());
  EXPECT_EQ(found.digest(), made.digest());
  EXPECT_EQ(found.architecture(), "LlamaForCausalLM");
  v1::JobMetadata metadata;
  ASSERT_TRUE(operation.metadata().UnpackTo(&metadata));
  EXPECT_EQ(metadata.job().result(), "models/tiny");
  EXPECT_EQ(metadata.job().import_model().model_id(), "tiny");
}

TEST_F(UploadTest, ACutBlobGoesOnInsideTheTensorAlsoAfterARestart) {
  const PushedModel model = TinyModel();
  const std::string upload = Declared(model);
  auto largest = std::ranges::max_element(model.blobs, {}, [](const auto& blob) { return blob.second.size(); });
  const auto& [digest, bytes] = *largest;
  v1::WriteBlobResponse response;
  ASSERT_TRUE(Write(upload, digest, bytes.substr(0, 1500), 0, &response).ok());
  EXPECT_EQ(response.persisted_bytes(), 1500u);
  EXPECT_FALSE(response.complete());
  StopServer();
  StartServer();
  EXPECT_EQ(Missing(upload).at(digest).received_bytes(), 1500u);
  EXPECT_EQ(FieldOf(Write(upload, digest, bytes, 1000, &response)), "offset");
  ASSERT_TRUE(Write(upload, digest, bytes, 1500, &response).ok());
  EXPECT_TRUE(response.complete());
  EXPECT_FALSE(Missing(upload).contains(digest));
  ASSERT_TRUE(Write(upload, digest, bytes, 0, &response).ok()) << "a blob that is there is fine";
  EXPECT_TRUE(response.complete());
}

TEST_F(UploadTest, ABrokenStreamKeepsWhatCame) {
  const PushedModel model = TinyModel();
  const std::string upload = Declared(model);
  const auto& [digest, bytes] =
      *std::ranges::max_element(model.blobs, {}, [](const auto& blob) { return blob.second.size(); });
  {
    Caller caller;
    v1::WriteBlobResponse response;
    auto writer = models_->WriteBlob(&caller.context, &response);
    v1::WriteBlobRequest request;
    request.set_upload(upload);
    request.set_sha256(digest);
    request.set_data(bytes.substr(0, 1000));
    ASSERT_TRUE(writer->Write(request));
    caller.context.TryCancel();
    (void)writer->Finish();
  }
  // The server may still be closing the first stream; then it says UNAVAILABLE and the client tries again.
  v1::WriteBlobResponse response;
  grpc::Status status;
  do {
    status = Write(upload, digest, bytes, Missing(upload).at(digest).received_bytes(), &response);
  } while (status.error_code() == grpc::StatusCode::UNAVAILABLE || FieldOf(status) == "offset");
  EXPECT_TRUE(status.ok() && response.complete()) << status.error_message();
}

TEST_F(UploadTest, ASecondPushSendsOnlyTheTensorThatChanged) {
  Import(TinyModel(), "tiny");
  const std::string changed = "model.layers.1.mlp.up_proj.weight";
  const PushedModel second = TinyModel(changed);
  Operation operation;
  const uint64_t sent = Push(second, "tiny-2", &operation);
  EXPECT_EQ(sent, 64u * 32 * 4);
  ASSERT_TRUE(RunOne());
  EXPECT_TRUE(OperationNow(operation.name()).has_response());
  // The same push again is the same upload and the same operation.
  Operation third, fourth;
  EXPECT_EQ(Push(second, "tiny-3", &third, "key"), 0u);
  EXPECT_EQ(Push(second, "tiny-3", &fourth, "key"), 0u);
  EXPECT_EQ(third.name(), fourth.name());
}

TEST_F(UploadTest, AFailedImportCanBePushedAnew) {
  const PushedModel model = TinyModel();
  runners_[0].run = [](const JobContext&) -> absl::StatusOr<JobOutput> { return absl::InvalidArgumentError("no"); };
  Operation first, second;
  Push(model, "tiny", &first, "key");
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(OperationNow(first.name()).error().code(), 3);
  Push(model, "tiny", &second, "key");
  EXPECT_NE(first.name(), second.name());
}

TEST_F(UploadTest, BytesWithAnotherDigestAreRefusedAndDropped) {
  const PushedModel model = TinyModel();
  const std::string upload = Declared(model);
  const auto& [digest, bytes] = *model.blobs.begin();
  std::string wrong = bytes;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  v1::WriteBlobResponse response;
  const grpc::Status status = Write(upload, digest, wrong, 0, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(status), "sha256");
  EXPECT_EQ(Missing(upload).at(digest).received_bytes(), 0u);
  EXPECT_EQ(FieldOf(Write(upload, digest, bytes + "more", 0, &response)), "data");
  EXPECT_EQ(FieldOf(Write(upload, Sha256Of("unlisted").Hex(), "x", 0, &response)), "sha256");
  EXPECT_EQ(FieldOf(Write(upload, "abc", "x", 0, &response)), "sha256");
  EXPECT_EQ(Write("uploads/none", digest, bytes, 0, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(UploadTest, ACommitWaitsForAllBlobsAndPages) {
  const PushedModel model = TinyModel();
  Operation operation;
  const std::string empty = CreateUpload("tiny", model.total_bytes).name();
  EXPECT_EQ(Commit(empty, &operation).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  const std::string declared = Declared(model);
  EXPECT_EQ(Commit(declared, &operation).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(UploadTest, ACommitIsAnsweredAgainAlsoWhereItsUploadIsGone) {
  Operation first, again;
  Push(TinyModel(), "tiny", &first);
  ASSERT_TRUE(RunOne());
  v1::JobMetadata metadata;
  ASSERT_TRUE(first.metadata().UnpackTo(&metadata));
  v1::CommitUploadRequest commit;
  commit.set_name(metadata.job().import_model().upload());
  commit.set_request_id("key");
  ASSERT_TRUE(Call(*models_, &Stub::CommitUpload, commit, &again).ok());
  EXPECT_EQ(again.name(), first.name());
  EXPECT_TRUE(again.has_response());
  v1::DeleteUploadRequest remove;
  remove.set_name(commit.name());
  google::protobuf::Empty nothing;
  ASSERT_TRUE(Call(*models_, &Stub::DeleteUpload, remove, &nothing).ok());
  const grpc::Status status = Call(*models_, &Stub::CommitUpload, commit, &again);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(again.name(), first.name());
  commit.set_request_id(std::string(257, 'k'));
  EXPECT_EQ(FieldOf(Call(*models_, &Stub::CommitUpload, commit, &again)), "request_id");
}

TEST_F(UploadTest, AnExpiredUploadAndItsBytesAreGone) {
  const PushedModel model = TinyModel();
  const std::string upload = Declared(model);
  const auto& [digest, bytes] = *model.blobs.begin();
  v1::WriteBlobResponse response;
  ASSERT_TRUE(Write(upload, digest, bytes.substr(0, 4), 0, &response).ok());
  clock_.Advance(settings_.upload_hours * 3'600'000);
  server_->maintenance().ExpireLeasesAndUploads();
  v1::GetUploadRequest get;
  get.set_name(upload);
  v1::Upload found;
  EXPECT_EQ(Call(*models_, &Stub::GetUpload, get, &found).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(server_->state().blobs.PartialSize(upload.substr(8) + "/" + digest), 0u);
}

TEST_F(UploadTest, GarbageIsWhatNothingNames) {
  const PushedModel kept = TinyModel();
  Import(kept, "kept");
  const PushedModel open = TinyModel("model.layers.0.mlp.up_proj.weight");
  const std::string upload = Declared(open);
  for (const auto& [digest, missing] : Missing(upload)) {
    v1::WriteBlobResponse response;
    ASSERT_TRUE(Write(upload, digest, open.blobs.at(digest), 0, &response).ok());
  }
  const Digest orphan = *PutBlob(server_->state().blobs, std::as_bytes(std::span("orphan")));
  clock_.Advance(2 * 3'600'000);
  const auto freed = server_->maintenance().Collect();
  ASSERT_TRUE(freed.ok()) << freed.status();
  EXPECT_TRUE(absl::IsNotFound(server_->state().blobs.Stat(orphan).status()));
  EXPECT_TRUE(Missing(upload).empty()) << "an open upload keeps what it was told exists";
  v1::DeleteModelRequest remove;
  remove.set_name("models/kept");
  google::protobuf::Empty nothing;
  ASSERT_TRUE(Call(*models_, &Stub::DeleteModel, remove, &nothing).ok());
  v1::DeleteUploadRequest drop;
  drop.set_name(upload);
  ASSERT_TRUE(Call(*models_, &Stub::DeleteUpload, drop, &nothing).ok());
  ASSERT_TRUE(server_->maintenance().Collect().ok());
  for (const auto& [digest, bytes] : kept.blobs) {
    EXPECT_FALSE(server_->state().blobs.Stat(*Digest::Parse(digest)).ok()) << digest;
  }
}

struct BadPage {
  const char* name;
  const char* field;
  std::function<void(v1::AddUploadFilesRequest& page)> bend;
};
class BadPageTest : public UploadTest, public ::testing::WithParamInterface<BadPage> {};

v1::FileEntry& Weights(v1::AddUploadFilesRequest& page) { return *page.mutable_files(2); }

const BadPage kBadPages[] = {
    {"Traversal", "files[0].path", [](auto& page) { page.mutable_files(0)->set_path("../config.json"); }},
    {"Absolute", "files[0].path", [](auto& page) { page.mutable_files(0)->set_path("/etc/passwd"); }},
    {"EmptyPath", "files[0].path", [](auto& page) { page.mutable_files(0)->set_path(""); }},
    {"Backslash", "files[1].path", [](auto& page) { page.mutable_files(1)->set_path("a\\b.json"); }},
    {"Pickle", "files[0].path", [](auto& page) { page.mutable_files(0)->set_path("pytorch_model.bin"); }},
    {"PickleCut", "files[2].path", [](auto& page) { Weights(page).set_path("model.pt"); }},
    {"UnknownType", "files[0].path", [](auto& page) { page.mutable_files(0)->set_path("run.exe"); }},
    {"CutOfUnknownType", "files[2].header_size", [](auto& page) { Weights(page).set_path("model.json"); }},
    {"Twice", "files[1].path", [](auto& page) { page.mutable_files(1)->set_path("config.json"); }},
    {"ShortDigest", "files[0].sha256", [](auto& page) { page.mutable_files(0)->set_sha256("abc"); }},
    {"UpperCaseDigest", "files[0].sha256", [](auto& page) { page.mutable_files(0)->set_sha256(std::string(64, 'A')); }},
    {"LargerThanTheUpload", "files[0].size", [](auto& page) { page.mutable_files(0)->set_size(uint64_t{1} << 60); }},
    {"OtherTotal", "files", [](auto& page) { page.mutable_files(0)->set_size(page.files(0).size() - 1); }},
    {"HeaderLargerThanFile", "files[2].header_size",
     [](auto& page) { Weights(page).set_header_size(Weights(page).size() + 1); }},
    {"CutsWithoutHeader", "files[2].header_size", [](auto& page) { Weights(page).set_header_size(0); }},
    {"CutInTheHeader", "files[2].cuts[0].offset", [](auto& page) { Weights(page).mutable_cuts(0)->set_offset(0); }},
    {"Overlap", "files[2].cuts[1].offset",
     [](auto& page) { Weights(page).mutable_cuts(1)->set_offset(Weights(page).cuts(1).offset() - 1); }},
    {"PastTheEnd", "files[2].cuts[3].size",
     [](auto& page) { Weights(page).mutable_cuts(3)->set_size(Weights(page).size()); }},
    {"Overflow", "files[2].cuts[3].size", [](auto& page) { Weights(page).mutable_cuts(3)->set_size(UINT64_MAX); }},
    {"OffsetOverflow", "files[2].cuts[3].size",
     [](auto& page) { Weights(page).mutable_cuts(3)->set_offset(UINT64_MAX); }},
    {"CutDigest", "files[2].cuts[4].sha256", [](auto& page) { Weights(page).mutable_cuts(4)->set_sha256("zz"); }},
    {"NoTensorName", "files[2].cuts[5].tensor", [](auto& page) { Weights(page).mutable_cuts(5)->clear_tensor(); }},
    {"TensorTwice", "files[2].cuts[1].tensor",
     [](auto& page) { Weights(page).mutable_cuts(1)->set_tensor(Weights(page).cuts(0).tensor()); }},
    {"MissingTensor", "files[2].cuts[2].offset",
     [](auto& page) { Weights(page).mutable_cuts()->DeleteSubrange(2, 1); }},
    {"SameDigestOtherSize", "files[2].sha256",
     [](auto& page) { Weights(page).mutable_cuts(1)->set_sha256(page.files(0).sha256()); }},
    {"PageTooFar", "page", [](auto& page) { page.set_page(2); }},
    {"NegativePage", "page", [](auto& page) { page.set_page(-1); }},
    {"UploadName", "upload", [](auto& page) { page.set_upload("models/tiny"); }},
};

TEST_P(BadPageTest, IsRefusedAtItsFieldAndLeavesNothing) {
  const PushedModel model = TinyModel();
  const std::string upload = CreateUpload("tiny", model.total_bytes).name();
  v1::AddUploadFilesRequest page = model.page;
  page.set_upload(upload);
  GetParam().bend(page);
  const grpc::Status status = Add(page);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(FieldOf(status), GetParam().field) << status.error_message();
  EXPECT_TRUE(server_->state().catalogue.UploadPages("local", upload.substr(8))->empty());
}

INSTANTIATE_TEST_SUITE_P(Pages, BadPageTest, ::testing::ValuesIn(kBadPages),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(UploadTest, RefusesNamesSizesAndPagesOfUploads) {
  const auto create = [&](const std::string& model_id, uint64_t bytes) {
    v1::CreateUploadRequest request;
    request.set_model_id(model_id);
    request.set_total_bytes(bytes);
    v1::Upload upload;
    return FieldOf(Call(*models_, &Stub::CreateUpload, request, &upload));
  };
  EXPECT_EQ(create("", 1), "model_id");
  EXPECT_EQ(create("A", 1), "model_id");
  EXPECT_EQ(create("a/b", 1), "model_id");
  EXPECT_EQ(create("a", 0), "total_bytes");
  EXPECT_EQ(create("a", UINT64_MAX), "total_bytes");
  const PushedModel model = TinyModel();
  const std::string upload = Declared(model);
  v1::AddUploadFilesRequest page = model.page;
  page.set_upload(upload);
  EXPECT_TRUE(Add(page).ok()) << "the same page again";
  page.set_page(1);
  EXPECT_EQ(FieldOf(Add(page)), "last");
  page.set_page(0);
  page.mutable_files(2)->mutable_cuts(0)->set_tensor("another");
  EXPECT_EQ(Add(page).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  for (const std::string& token : {std::string("nonsense"), std::string(65, 'a')}) {
    v1::ListMissingBlobsRequest list;
    list.set_upload(upload);
    list.set_page_token(token);
    v1::ListMissingBlobsResponse response;
    EXPECT_EQ(FieldOf(Call(*models_, &Stub::ListMissingBlobs, list, &response)), "page_token");
  }
}

TEST_F(UploadTest, PagesThatContradictEachOtherAreRefusedWithTheLastAndDoNotStopTheCollector) {
  const PushedModel model = TinyModel();
  const std::string upload = CreateUpload("tiny", model.total_bytes).name();
  v1::AddUploadFilesRequest page = model.page;
  page.set_upload(upload);
  page.set_last(false);
  ASSERT_TRUE(Add(page).ok());
  page.set_page(1);
  page.mutable_files(2)->set_header_size(page.files(2).header_size() - 1);
  ASSERT_TRUE(Add(page).ok());
  EXPECT_TRUE(server_->maintenance().Collect().ok());
  page.set_page(2);
  page.set_last(true);
  EXPECT_EQ(FieldOf(Add(page)), "files[0].path");
}

TEST_F(UploadTest, AManifestOverSeveralPagesIsOneModel) {
  const PushedModel model = TinyModel();
  const std::string upload = CreateUpload("tiny", model.total_bytes).name();
  v1::AddUploadFilesRequest first, second;
  first.set_upload(upload);
  second.set_upload(upload);
  second.set_page(1);
  second.set_last(true);
  *first.add_files() = model.page.files(0);
  *first.add_files() = model.page.files(2);
  *second.add_files() = model.page.files(2);
  *second.add_files() = model.page.files(1);
  const int cuts = model.page.files(2).cuts_size();
  first.mutable_files(1)->mutable_cuts()->DeleteSubrange(3, cuts - 3);
  second.mutable_files(0)->mutable_cuts()->DeleteSubrange(0, 3);
  ASSERT_TRUE(Add(first).ok());
  v1::AddUploadFilesRequest overlapping = second;
  *overlapping.mutable_files(0)->mutable_cuts() = model.page.files(2).cuts();
  EXPECT_EQ(Add(overlapping).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status status = Add(second);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Missing(upload).size(), model.blobs.size());
}

}  // namespace
}  // namespace gwq
