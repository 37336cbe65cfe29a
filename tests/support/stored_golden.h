// A tiny golden model imported into a blob store of its own, with a tokenizer of 64 words.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/artifact/stored_model.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {

class StoredGolden {
 public:
  // A folder of tests/golden/models, and other small files beside its own. Failures show as failed expectations and a
  // null store.
  explicit StoredGolden(const std::string& name, const std::map<std::string, std::string>& more = {});

  [[nodiscard]] BlobStore& store() { return *store_; }
  [[nodiscard]] const Digest& digest() const { return digest_; }
  // Where the store keeps a blob on disk.
  [[nodiscard]] std::string BlobPath(const Digest& digest) const;
  [[nodiscard]] std::unique_ptr<const StoredModel> Open(const Digest& digest);

 private:
  TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  Digest digest_;
};

// Words "w0" to "w63" separated by blanks; everything else is w0.
[[nodiscard]] std::string WordTokenizerJson();

}  // namespace gwq::testing
