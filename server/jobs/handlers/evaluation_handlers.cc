// Datasets and evaluations: read, listed, deleted. Making them is an upload's and a job's matter.
#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

using google::protobuf::Empty;

template <class Request, class Response>
class EvaluationCall : public JobsCall<Request, Response> {
 public:
  using JobsCall<Request, Response>::JobsCall;

 protected:
  absl::StatusOr<CatalogueEntry> Find(const std::string& kind) {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", kind + "s", this->request().name()));
    return state_.catalogue.Find(this->principal(), kind, id);
  }
  absl::Status Delete(const std::string& kind) {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", kind + "s", this->request().name()));
    return state_.catalogue.Delete(this->principal(), kind, id);
  }
  absl::StatusOr<Catalogue::EntryPage> List(const std::string& kind) {
    GWQ_ASSIGN_OR_RETURN(const int size, PageSize(this->request().page_size(), 50, 1000));
    return state_.catalogue.ListEntries(this->principal(), kind, size, this->request().page_token());
  }

  using JobsCall<Request, Response>::state_;
};

class GetEvaluationHandler final : public EvaluationCall<v1::GetEvaluationRequest, v1::Evaluation> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("evaluation"));
    response() = EvaluationToProto(entry);
    return absl::OkStatus();
  }
};

class ListEvaluationsHandler final : public EvaluationCall<v1::ListEvaluationsRequest, v1::ListEvaluationsResponse> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page, List("evaluation"));
    for (const CatalogueEntry& listed : page.entries) {
      // A page has no reports, and the metrics stand in them.
      const auto entry = state_.catalogue.Find(principal(), "evaluation", listed.name);
      v1::Evaluation& to = *response().add_evaluations();
      to = EvaluationToProto(entry.ok() ? *entry : listed);
      to.clear_result_json();
      to.clear_result_markdown();
    }
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class DeleteEvaluationHandler final : public EvaluationCall<v1::DeleteEvaluationRequest, Empty> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override { return Delete("evaluation"); }
};

class GetDatasetHandler final : public EvaluationCall<v1::GetDatasetRequest, v1::Dataset> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("dataset"));
    response() = DatasetToProto(entry);
    return absl::OkStatus();
  }
};

class ListDatasetsHandler final : public EvaluationCall<v1::ListDatasetsRequest, v1::ListDatasetsResponse> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page, List("dataset"));
    for (const CatalogueEntry& entry : page.entries) *response().add_datasets() = DatasetToProto(entry);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class DeleteDatasetHandler final : public EvaluationCall<v1::DeleteDatasetRequest, Empty> {
 public:
  using EvaluationCall::EvaluationCall;

 private:
  absl::Status Run() override { return Delete("dataset"); }
};

}  // namespace

grpc::ServerUnaryReactor* EvaluationService::GetEvaluation(grpc::CallbackServerContext* context,
                                                           const v1::GetEvaluationRequest* request,
                                                           v1::Evaluation* response) {
  return Start<GetEvaluationHandler>("EvaluationService/GetEvaluation", context, request, response);
}
grpc::ServerUnaryReactor* EvaluationService::ListEvaluations(grpc::CallbackServerContext* context,
                                                             const v1::ListEvaluationsRequest* request,
                                                             v1::ListEvaluationsResponse* response) {
  return Start<ListEvaluationsHandler>("EvaluationService/ListEvaluations", context, request, response);
}
grpc::ServerUnaryReactor* EvaluationService::DeleteEvaluation(grpc::CallbackServerContext* context,
                                                              const v1::DeleteEvaluationRequest* request,
                                                              Empty* response) {
  return Start<DeleteEvaluationHandler>("EvaluationService/DeleteEvaluation", context, request, response);
}
grpc::ServerUnaryReactor* EvaluationService::GetDataset(grpc::CallbackServerContext* context,
                                                        const v1::GetDatasetRequest* request, v1::Dataset* response) {
  return Start<GetDatasetHandler>("EvaluationService/GetDataset", context, request, response);
}
grpc::ServerUnaryReactor* EvaluationService::ListDatasets(grpc::CallbackServerContext* context,
                                                          const v1::ListDatasetsRequest* request,
                                                          v1::ListDatasetsResponse* response) {
  return Start<ListDatasetsHandler>("EvaluationService/ListDatasets", context, request, response);
}
grpc::ServerUnaryReactor* EvaluationService::DeleteDataset(grpc::CallbackServerContext* context,
                                                           const v1::DeleteDatasetRequest* request, Empty* response) {
  return Start<DeleteDatasetHandler>("EvaluationService/DeleteDataset", context, request, response);
}

}  // namespace gwq
