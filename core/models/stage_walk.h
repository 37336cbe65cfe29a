// Runs sequences through a model one stage at a time: memory holds the weights of one stage and the states of the
// sequences, and never the whole model.
//
//   StageWalk walk(model, loader, backend, *cache);
//   walk.Add(...); walk.AddPass(...);                                          all sequences, then who runs with whom
//   for each stage but the head: walk.RunStage(stage, progress)
//   head = walk.LoadHead(); for each pass: walk.Logits(*head, pass, rows, logits)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/batch_rows.h"
#include "core/models/model.h"

namespace gwq {

// Not thread-safe.
class StageWalk {
 public:
  // Rows [begin, end) of a sequence.
  struct Rows {
    size_t sequence = 0;  // as Add numbers them
    int64_t begin = 0;
    int64_t end = 0;
  };

  // All outlive the walk. `loader` gives weights of `backend` and must not keep them alive. `cache` is one of
  // CacheShapeFor: with one layer every stage writes it anew, so sequences may share blocks as long as their passes do
  // not read what another has written; with a layer for each block it holds the context of earlier walks.
  StageWalk(const Model& model, WeightLoader& loader, Backend& backend, KvCache& cache)
      : model_(model), loader_(loader), backend_(backend), cache_(cache) {}

  // Adds a sequence; what `rows` points at outlives the walk. Returns its number, counted from 0.
  [[nodiscard]] size_t Add(const SequencePart& rows);
  // Adds rows that go through each stage in one pass. Passes run in the order in which they are added; a sequence's
  // rows run in order.
  void AddPass(std::vector<Rows> rows) { passes_.push_back(std::move(rows)); }
  [[nodiscard]] std::span<const Rows> pass(size_t pass) const { return passes_[pass]; }
  [[nodiscard]] size_t passes() const { return passes_.size(); }

  // Loads `stage`, runs every pass and drops it. Stages below the head, in order. The errors of `progress`, which is
  // asked before every pass.
  [[nodiscard]] absl::Status RunStage(int stage, Progress& progress);
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> LoadHead() const;
  // Logits [rows.size(), vocab] of `rows`, increasing and counted within the pass, after every stage below has run.
  [[nodiscard]] absl::Status Logits(const Stage& head, size_t pass, std::span<const int32_t> rows,
                                    std::span<float> logits);

 private:
  [[nodiscard]] BatchRows MakeBatch(std::span<const Rows> pass) const;
  [[nodiscard]] std::span<float> StatesOf(const Rows& rows);
  [[nodiscard]] std::span<float> Gather(std::span<const Rows> pass);
  void Scatter(std::span<const Rows> pass);
  [[nodiscard]] absl::Status RunPass(const Stage& loaded, int stage, std::span<const Rows> pass);

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  KvCache& cache_;
  std::vector<SequencePart> sequences_;
  std::vector<std::vector<Rows>> passes_;
  std::vector<std::vector<float>> states_;  // by sequence: [tokens, hidden], what the stage before made of them
  std::vector<float> gathered_;             // states of a pass of several sequences, side by side
};

}  // namespace gwq
