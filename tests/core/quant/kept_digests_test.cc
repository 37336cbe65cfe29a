// Artifacts of recipes that earlier builds made: the same bytes as ever.
//
// golden/digests.json was written by the release of November 2026. What LibTorch computes depends on the instruction
// set, so an entry with "isa" holds on machines of that level alone; the others hold everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/backend/cpu/cpu_backend.h"
#include "core/quant/job/quantize.h"
#include "core/spec/quantize_evaluations.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_folder.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::IsOk;
using testing::ReadText;
using testing::SourcePath;
using testing::StoredFolder;

std::string Made(BlobStore& store, const Digest& model, Json recipe_json) {
  EXPECT_THAT(TakeOldTextEvaluation(recipe_json), IsOk());
  const auto recipe = ParseRecipe(recipe_json.dump());
  EXPECT_THAT(recipe, IsOk());
  const auto result = QuantizeModel(store, model, *recipe, NoProgress());
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->artifact.Hex() : "";
}

TEST(KeptDigests, AreMadeAgain) {
  const Json kept = Json::parse(ReadText(SourcePath("tests/core/quant/golden/digests.json")));
  const std::string isa(IsaLevelName(BestIsaLevel()));
  int compared = 0;
  for (const Json& entry : kept) {
    const std::string model = entry["model"];
    if (model == "smollm2" || entry.value("isa", isa) != isa) continue;
    SCOPED_TRACE(entry.dump());
    ++compared;
    if (model == "easy-vqa") {
      StoredFolder stored(SourcePath("tests/models/easy-vqa-qwen2-vl"));
      EXPECT_EQ(Made(stored.store(), stored.model(), entry["recipe"]), entry["digest"]);
    } else {
      testing::StoredGolden golden(model);
      EXPECT_EQ(Made(golden.store(), golden.digest(), entry["recipe"]), entry["digest"]);
    }
  }
  EXPECT_GE(compared, 13) << "those without gradients hold on every machine";
}

}  // namespace
}  // namespace gwq
