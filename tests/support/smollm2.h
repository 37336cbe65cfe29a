// SmolLM2-135M-Instruct, imported from the GGUF of $GWQ_DEPS, and the greedy tokens that transformers gives for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/backend/backend.h"
#include "core/storage/blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {

class ImportedSmolLm2 {
 public:
  // Takes some seconds. NOT_FOUND if deploy/setup has not run.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ImportedSmolLm2>> Import();
  [[nodiscard]] const StoredModel& model() const { return *model_; }

 private:
  TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<const StoredModel> model_;
};

struct GreedyRun {
  std::string prompt;
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> greedy_ids;
};
// tests/golden/smollm2.json.
[[nodiscard]] absl::StatusOr<std::vector<GreedyRun>> GoldenGreedyRuns();

// Expectations of GoogleTest: all golden prompts in one batch, then one token at a time, the largest logit always being
// the golden next token. What is fed is the golden token, which is the same as long as nothing failed.
void ExpectGoldenGreedyTokens(Backend& backend, const StoredModel& stored);

}  // namespace gwq::testing
