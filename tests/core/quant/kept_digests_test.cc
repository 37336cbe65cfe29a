// Artifacts of recipes that earlier builds made: the same bytes as ever.
//
// golden/digests.json was written by the release of November 2026. What LibTorch computes depends on the processor: two
// of one instruction set differ. So an entry with "processor" holds on that one alone; the others hold everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

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

// Such as "AuthenticAMD 25 1 avx2": vendor, family and model by the kernel, and the instruction set that the kernels
// use.
std::string Processor() {
  std::string name;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::string key = line.substr(0, line.find_first_of("\t:"));
    if (key == "vendor_id" || key == "cpu family" || key == "model") name += line.substr(line.find(": ") + 2) + " ";
  }
  return name + std::string(IsaLevelName(BestIsaLevel()));
}

TEST(KeptDigests, AreMadeAgain) {
  const Json kept = Json::parse(ReadText(SourcePath("tests/core/quant/golden/digests.json")));
  const std::string processor = Processor();
  size_t compared = 0;
  for (const Json& entry : kept) {
    if (entry.value("processor", processor) != processor) continue;
    SCOPED_TRACE(entry.dump());
    ++compared;
    const std::string model = entry["model"];
    if (model == "easy-vqa") {
      StoredFolder stored(SourcePath("tests/models/easy-vqa-qwen2-vl"));
      EXPECT_EQ(Made(stored.store(), stored.model(), entry["recipe"]), entry["digest"]);
    } else {
      testing::StoredGolden golden(model);
      EXPECT_EQ(Made(golden.store(), golden.digest(), entry["recipe"]), entry["digest"]);
    }
  }
  EXPECT_GE(compared, 13U) << "those without gradients hold on every processor";
  if (compared < kept.size())
    std::cout << kept.size() - compared << " digests are not of this processor, " << processor << "\n";
}

}  // namespace
}  // namespace gwq
