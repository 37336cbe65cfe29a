#include "server/jobs/resource_names.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/records.h"

namespace gwq {

absl::StatusOr<std::string> IdOf(std::string_view field, std::string_view collection, std::string_view name) {
  if (name.size() <= collection.size() + 1 || !name.starts_with(collection) || name[collection.size()] != '/') {
    return InvalidField(field, fmt::format("'{}' is not of the form {}/ID", name.substr(0, 80), collection));
  }
  const std::string_view id = name.substr(collection.size() + 1);
  GWQ_RETURN_IF_ERROR(CheckResourceId(field, id));
  return std::string(id);
}

absl::StatusOr<EntryName> ParseEntryName(std::string_view field, std::string_view name) {
  EntryName out;
  out.kind = "model";
  for (const char* kind : {"artifact", "dataset", "evaluation"}) {
    if (name.starts_with(NameOf(kind, ""))) out.kind = kind;
  }
  GWQ_ASSIGN_OR_RETURN(out.id, IdOf(field, out.kind + "s", name));
  return out;
}

absl::StatusOr<EntryName> ParseModelName(std::string_view field, std::string_view name) {
  GWQ_ASSIGN_OR_RETURN(EntryName out, ParseEntryName(field, name));
  if (out.kind == "model" || out.kind == "artifact") return out;
  return InvalidField(field, fmt::format("'{}' is neither a model nor an artifact", name.substr(0, 80)));
}

std::string NameOf(std::string_view kind, std::string_view id) { return fmt::format("{}s/{}", kind, id); }

absl::Status CheckRequestId(std::string_view id) {
  constexpr size_t kMaxBytes = 256;
  if (id.size() <= kMaxBytes) return absl::OkStatus();
  return InvalidField("request_id", fmt::format("has {} bytes, the limit is {}; use a shorter id, such as a UUID",
                                                id.size(), kMaxBytes));
}

absl::StatusOr<int> PageSize(int asked, int standard, int limit) {
  if (asked == 0) return standard;
  if (asked < 0 || asked > limit) {
    return InvalidField("page_size", fmt::format("{} is not in 1..{}; 0 means {}", asked, limit, standard));
  }
  return asked;
}

}  // namespace gwq
