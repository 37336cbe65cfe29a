#include "core/jobs/records.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/manifest_cache.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

constexpr int kEntriesAtOnce = 100;

}  // namespace

absl::StatusOr<CatalogueEntry> CallerNames::Find(std::string_view field, const std::string& kind,
                                                 const std::string& name) const {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf(field, kind + "s", name));
  return state_.catalogue.Find(principal_, kind, id);
}

absl::StatusOr<CatalogueEntry> CallerNames::FindModel(std::string_view field, const std::string& name) const {
  GWQ_ASSIGN_OR_RETURN(const EntryName entry, ParseModelName(field, name));
  return state_.catalogue.Find(principal_, entry.kind, entry.id);
}

absl::StatusOr<EvaluationTask> CallerNames::Task(const std::string& field, const v1::EvaluationTask& proto) const {
  GWQ_ASSIGN_OR_RETURN(EvaluationTask task, TaskFromProto(field, proto));
  if (!proto.dataset().empty()) {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry dataset, Find(field + ".dataset", "dataset", proto.dataset()));
    task.dataset = dataset.manifest.Hex();
  }
  GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, field));
  return task;
}

absl::StatusOr<bool> CallerNames::HaveBlob(const Digest& blob) const {
  for (const char* kind : {"dataset", "model"}) {
    GWQ_ASSIGN_OR_RETURN(const bool named, AnyNames(kind, blob));
    if (named) return true;
  }
  return false;
}

absl::StatusOr<bool> CallerNames::AnyNames(const std::string& kind, const Digest& blob) const {
  std::string token;
  do {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page,
                         state_.catalogue.ListEntries(principal_, kind, kEntriesAtOnce, token));
    for (const CatalogueEntry& entry : page.entries) {
      GWQ_ASSIGN_OR_RETURN(const auto blobs, state_.manifests.BlobsOf(state_.blobs, entry.manifest));
      if (blobs->contains(blob)) return true;
    }
    token = page.next_page_token;
  } while (!token.empty());
  return false;
}

}  // namespace gwq
