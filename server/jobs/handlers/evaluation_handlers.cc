// Datasets and evaluations: read, listed, deleted. Making them is an upload's and a job's matter.
#include "core/base/status.h"
#include "server/jobs/handlers/entry_call.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/record_proto.h"

namespace gwq {
namespace {

using google::protobuf::Empty;

class GetEvaluationHandler final : public EntryCall<v1::GetEvaluationRequest, v1::Evaluation> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("evaluation"));
    response() = EvaluationToProto(entry);
    return absl::OkStatus();
  }
};

class ListEvaluationsHandler final : public EntryCall<v1::ListEvaluationsRequest, v1::ListEvaluationsResponse> {
 public:
  using EntryCall::EntryCall;

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

class DeleteEvaluationHandler final : public EntryCall<v1::DeleteEvaluationRequest, Empty> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override { return Delete("evaluation"); }
};

class GetDatasetHandler final : public EntryCall<v1::GetDatasetRequest, v1::Dataset> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("dataset"));
    response() = DatasetToProto(entry);
    return absl::OkStatus();
  }
};

class ListDatasetsHandler final : public EntryCall<v1::ListDatasetsRequest, v1::ListDatasetsResponse> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page, List("dataset"));
    for (const CatalogueEntry& entry : page.entries) *response().add_datasets() = DatasetToProto(entry);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class DeleteDatasetHandler final : public EntryCall<v1::DeleteDatasetRequest, Empty> {
 public:
  using EntryCall::EntryCall;

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
