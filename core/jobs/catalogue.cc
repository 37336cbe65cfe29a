#include "core/jobs/catalogue.h"

#include <string_view>

namespace gwq {

JobProduct UploadProduct(const Upload& upload) {
  constexpr std::string_view kDatasets = "datasets/";
  if (upload.name.starts_with(kDatasets)) return {"dataset", upload.name.substr(kDatasets.size())};
  return {"model", upload.name};
}

}  // namespace gwq
