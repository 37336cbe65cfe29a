// What calls on entries of the catalogue share: models, artifacts, datasets and evaluations.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/jobs/catalogue.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/jobs_state.h"
#include "server/jobs/resource_names.h"

namespace gwq {

// `kind` is that of the entry; the names on the wire begin with its plural: "models/NAME".
template <class Request, class Response>
class EntryCall : public JobsCall<Request, Response> {
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

}  // namespace gwq
