// Models and the steps of an upload, without the bytes themselves (write_blob.cc).
#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/manifest.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/entry_call.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

using google::protobuf::Empty;

class GetModelHandler final : public EntryCall<v1::GetModelRequest, v1::Model> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("model"));
    response() = ModelToProto(entry);
    return absl::OkStatus();
  }
};

class ListModelsHandler final : public EntryCall<v1::ListModelsRequest, v1::ListModelsResponse> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page, List("model"));
    for (const CatalogueEntry& entry : page.entries) *response().add_models() = ModelToProto(entry);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class DeleteModelHandler final : public EntryCall<v1::DeleteModelRequest, Empty> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override { return Delete("model"); }
};

class CreateUploadHandler final : public JobsCall<v1::CreateUploadRequest, v1::Upload> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    const bool dataset = !request().dataset_id().empty();
    if (dataset && !request().model_id().empty()) {
      return InvalidField("dataset_id", "is given together with model_id; an upload becomes one of the two");
    }
    GWQ_RETURN_IF_ERROR(dataset ? CheckResourceId("dataset_id", request().dataset_id())
                                : CheckResourceId("model_id", request().model_id()));
    if (request().total_bytes() == 0 || request().total_bytes() > state_.limits.upload_bytes) {
      return InvalidField("total_bytes", fmt::format("{} is not in 1..{}, what this service takes",
                                                     request().total_bytes(), state_.limits.upload_bytes));
    }
    GWQ_RETURN_IF_ERROR(CheckRequestId(request().request_id()));
    Upload upload;
    upload.principal = principal();
    upload.name = dataset ? "datasets/" + request().dataset_id() : request().model_id();
    upload.request_id = request().request_id();
    upload.total_bytes = request().total_bytes();
    upload.created_wall_millis = state_.clock.WallMillis();
    upload.expires_wall_millis = upload.created_wall_millis + state_.limits.upload_millis;
    GWQ_ASSIGN_OR_RETURN(Upload made, state_.catalogue.CreateUpload(upload));
    if (!made.commit_job.empty()) {
      GWQ_ASSIGN_OR_RETURN(const bool of_use, CommittedIsOfUse(made));
      if (!of_use) {
        GWQ_RETURN_IF_ERROR(state_.catalogue.DeleteUpload(principal(), made.id));
        GWQ_ASSIGN_OR_RETURN(made, state_.catalogue.CreateUpload(upload));
      }
    }
    response() = UploadToProto(made);
    return absl::OkStatus();
  }

  // The same push again gives the first upload back while its import runs or its model stands. After a failure, or when
  // the model was deleted or replaced, it starts anew.
  absl::StatusOr<bool> CommittedIsOfUse(const Upload& upload) {
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Get(principal(), upload.commit_job));
    if (IsLive(job.state)) return true;
    if (job.state != JobState::kSucceeded) return false;
    const JobProduct product = UploadProduct(upload);
    const auto entry = state_.catalogue.Find(principal(), product.kind, product.id);
    return entry.ok() && entry->job == job.id;
  }
};

class GetUploadHandler final : public JobsCall<v1::GetUploadRequest, v1::Upload> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
    GWQ_ASSIGN_OR_RETURN(const Upload upload, state_.catalogue.GetUpload(principal(), id));
    response() = UploadToProto(upload);
    return absl::OkStatus();
  }
};

class AddUploadFilesHandler final : public JobsCall<v1::AddUploadFilesRequest, v1::AddUploadFilesResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("upload", "uploads", request().upload()));
    GWQ_ASSIGN_OR_RETURN(const Upload upload, state_.catalogue.GetUpload(principal(), id));
    GWQ_ASSIGN_OR_RETURN(std::vector<std::string> pages, state_.catalogue.UploadPages(principal(), id));
    if (request().page() < 0 || request().page() > static_cast<int>(pages.size())) {
      return InvalidField("page",
                          fmt::format("{}; pages come in order, the next is {}", request().page(), pages.size()));
    }
    GWQ_RETURN_IF_ERROR(CheckPage(request(), UploadProduct(upload).kind, upload.total_bytes));
    const std::string json = PageJson(request());
    const int known = static_cast<int>(pages.size());
    if (request().page() == known) GWQ_RETURN_IF_ERROR(CheckWhole(upload, std::move(pages), json));
    MutexLock reachable(state_.collection);
    GWQ_RETURN_IF_ERROR(state_.catalogue.AddUploadPage(principal(), id, request().page(), json));
    response().set_pages(std::max(known, request().page() + 1));
    return absl::OkStatus();
  }

  // The new page together with those before it. Only the last one pays for a look at all of them.
  absl::Status CheckWhole(const Upload& upload, std::vector<std::string> pages, const std::string& json) {
    if (!upload.commit_job.empty()) {
      return absl::FailedPreconditionError(
          fmt::format("upload: uploads/{} was committed by jobs/{} and takes no more files; start a new upload",
                      upload.id, upload.commit_job));
    }
    if (!pages.empty() && IsLastPage(pages.back())) return AfterLastPage(pages.size());
    pages.push_back(json);
    uint64_t bytes = 0;
    for (const std::string& page : pages) bytes += page.size();
    if (bytes > state_.limits.manifest_bytes || static_cast<int>(pages.size()) > state_.limits.max_pages) {
      return InvalidField("files",
                          fmt::format("the list of files is too long: {} bytes on {} pages, at most {} on {}", bytes,
                                      pages.size(), state_.limits.manifest_bytes, state_.limits.max_pages));
    }
    if (!request().last()) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(const UploadManifest whole, AssembleUpload(UploadProduct(upload).kind, pages));
    if (whole.total_bytes != upload.total_bytes) {
      return InvalidField("files", fmt::format("the files have {} bytes together, the upload was announced with {}",
                                               whole.total_bytes, upload.total_bytes));
    }
    return absl::OkStatus();
  }
};

absl::Status NoLastPage(std::string_view field, const std::string& id) {
  return absl::FailedPreconditionError(fmt::format(
      "{}: the last page of the files of uploads/{} has not come; send it with AddUploadFiles and last = true", field,
      id));
}

class ListMissingBlobsHandler final : public JobsCall<v1::ListMissingBlobsRequest, v1::ListMissingBlobsResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("upload", "uploads", request().upload()));
    GWQ_ASSIGN_OR_RETURN(const int size, PageSize(request().page_size(), 1000, 10'000));
    GWQ_ASSIGN_OR_RETURN(const auto upload, state_.uploads.Of(state_.catalogue, principal(), id));
    if (!upload->complete) return NoLastPage("upload", id);
    Digest after;
    if (!request().page_token().empty()) {
      const auto token = Digest::Parse(request().page_token());
      if (!token.ok())
        return InvalidField("page_token", "not a token of an earlier page; leave it empty to start anew");
      after = *token;
    }
    for (const auto& [digest, bytes] : upload->blobs) {
      if (state_.blobs.Stat(digest).ok()) {
        response().set_present_bytes(response().present_bytes() + bytes);
        continue;
      }
      response().set_missing_bytes(response().missing_bytes() + bytes);
      if (!request().page_token().empty() && digest <= after) continue;
      if (response().blobs_size() == size) {
        response().set_next_page_token(response().blobs(size - 1).sha256());
        continue;
      }
      v1::MissingBlob& missing = *response().add_blobs();
      missing.set_sha256(digest.Hex());
      missing.set_size(bytes);
      missing.set_received_bytes(state_.blobs.PartialSize(PartialKey(id, digest)));
    }
    return absl::OkStatus();
  }
};

class CommitUploadHandler final : public JobsCall<v1::CommitUploadRequest, google::longrunning::Operation> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
    GWQ_RETURN_IF_ERROR(CheckRequestId(request().request_id()));
    GWQ_ASSIGN_OR_RETURN(std::optional<Job> job, state_.jobs.FindByRequest(principal(), KeyOf(id), ""));
    if (!job.has_value()) {
      GWQ_ASSIGN_OR_RETURN(job, Enqueue(id));
    }
    const auto upload = state_.catalogue.GetUpload(principal(), id);
    // A commit that was cut after it made its job left the upload open.
    if (upload.ok() && upload->commit_job.empty()) {
      GWQ_RETURN_IF_ERROR(state_.catalogue.SetUploadCommitted(principal(), id, job->id));
    }
    response() = OperationOf(*job);
    return absl::OkStatus();
  }

  static std::string KeyOf(const std::string& upload) { return "commit/" + upload; }

  absl::StatusOr<Job> Enqueue(const std::string& id) {
    GWQ_ASSIGN_OR_RETURN(const Upload upload, state_.catalogue.GetUpload(principal(), id));
    GWQ_ASSIGN_OR_RETURN(const auto declared, state_.uploads.Of(state_.catalogue, principal(), id));
    MutexLock reachable(state_.collection);
    if (!declared->complete) return NoLastPage("name", id);
    GWQ_RETURN_IF_ERROR(CheckPresent(*declared));
    const std::string json = ManifestJson(declared->manifest);
    ImportJob spec;
    spec.upload = id;
    const JobProduct product = UploadProduct(upload);
    spec.model_id = product.id;
    spec.dataset = product.kind == "dataset";
    GWQ_ASSIGN_OR_RETURN(spec.manifest, PutBlob(state_.blobs, std::as_bytes(std::span(json))));
    return PlanAndEnqueue(state_, NewJob(principal(), ImportJob::kKind, spec.Json(), KeyOf(id)));
  }

  absl::Status CheckPresent(const UploadManifest& declared) {
    uint64_t missing = 0;
    for (const auto& [digest, size] : declared.blobs) {
      const auto info = state_.blobs.Stat(digest);
      if (!info.ok()) {
        ++missing;
      } else if (info->size != size) {
        return InvalidField("files",
                            fmt::format("blob {} has {} bytes, {} were declared", digest.Hex(), info->size, size));
      }
    }
    if (missing == 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        fmt::format("name: {} blobs are missing; send what ListMissingBlobs names", missing));
  }
};

class DeleteUploadHandler final : public JobsCall<v1::DeleteUploadRequest, Empty> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
    GWQ_RETURN_IF_ERROR(state_.catalogue.DeleteUpload(principal(), id));
    state_.uploads.Forget(id);
    return state_.blobs.DropPartials(id + "/");
  }
};

}  // namespace

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context,
                                                 const v1::GetModelRequest* request, v1::Model* response) {
  return Start<GetModelHandler>("ModelService/GetModel", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest* request,
                                                   v1::ListModelsResponse* response) {
  return Start<ListModelsHandler>("ModelService/ListModels", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::DeleteModel(grpc::CallbackServerContext* context,
                                                    const v1::DeleteModelRequest* request, Empty* response) {
  return Start<DeleteModelHandler>("ModelService/DeleteModel", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::CreateUpload(grpc::CallbackServerContext* context,
                                                     const v1::CreateUploadRequest* request, v1::Upload* response) {
  return Start<CreateUploadHandler>("ModelService/CreateUpload", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::GetUpload(grpc::CallbackServerContext* context,
                                                  const v1::GetUploadRequest* request, v1::Upload* response) {
  return Start<GetUploadHandler>("ModelService/GetUpload", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::AddUploadFiles(grpc::CallbackServerContext* context,
                                                       const v1::AddUploadFilesRequest* request,
                                                       v1::AddUploadFilesResponse* response) {
  return Start<AddUploadFilesHandler>("ModelService/AddUploadFiles", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::ListMissingBlobs(grpc::CallbackServerContext* context,
                                                         const v1::ListMissingBlobsRequest* request,
                                                         v1::ListMissingBlobsResponse* response) {
  return Start<ListMissingBlobsHandler>("ModelService/ListMissingBlobs", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::CommitUpload(grpc::CallbackServerContext* context,
                                                     const v1::CommitUploadRequest* request,
                                                     google::longrunning::Operation* response) {
  return Start<CommitUploadHandler>("ModelService/CommitUpload", context, request, response);
}
grpc::ServerUnaryReactor* ModelService::DeleteUpload(grpc::CallbackServerContext* context,
                                                     const v1::DeleteUploadRequest* request, Empty* response) {
  return Start<DeleteUploadHandler>("ModelService/DeleteUpload", context, request, response);
}

}  // namespace gwq
