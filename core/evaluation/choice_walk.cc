#include "core/evaluation/choice_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>

#include "core/base/status.h"
#include "core/engine/choice_scorer.h"
#include "core/models/cache_shape.h"
#include "core/models/stage_walk.h"

namespace gwq {
namespace {

int64_t Size(std::span<const int32_t> tokens) { return static_cast<int64_t>(tokens.size()); }

int64_t LongestChoice(const ChoicePrompt& prompt) {
  int64_t longest = 0;
  for (const auto& choice : prompt.choices) longest = std::max(longest, Size(choice));
  return longest;
}

// Prompts whose rows are held at a time.
class Wave {
 public:
  Wave(const Model& model, WeightLoader& loader, Backend& backend, std::span<const ChoicePrompt> prompts)
      : model_(model), loader_(loader), backend_(backend), prompts_(prompts) {}

  // The log-likelihoods by prompt and choice.
  absl::Status Run(Progress& progress, std::span<std::vector<double>> out) {
    FormGroups();
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<KvCache> cache,
                         backend_.CreateKvCache(CacheShapeFor(model_.config(), 1, blocks_)));
    StageWalk walk(model_, loader_, backend_, *cache);
    for (const std::vector<size_t>& group : groups_) AddPasses(group, walk);
    for (int stage = 0; stage + 1 < model_.stages(); ++stage) GWQ_RETURN_IF_ERROR(walk.RunStage(stage, progress));
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> head, walk.LoadHead());
    for (size_t pass = 0; pass < walk.passes(); ++pass) {
      GWQ_RETURN_IF_ERROR(progress.Check());
      GWQ_RETURN_IF_ERROR(Score(*head, walk, pass));
    }
    for (size_t i = 0; i < prompts_.size(); ++i) out[i] = scorers_[i].log_likelihoods();
    return absl::OkStatus();
  }

 private:
  // A sequence of the walk: a prompt, or one of its choices.
  struct Origin {
    size_t prompt = 0;
    bool is_choice = false;
  };

  // Prompts that share passes stand side by side in the cache, and each group begins at the cache's first block.
  void FormGroups() {
    int64_t group_rows = 0, group_blocks = 0;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const ChoicePrompt& prompt = prompts_[i];
      if (groups_.empty() || group_rows + Size(prompt.tokens) > kChoicePassRows) {
        groups_.emplace_back();
        group_rows = group_blocks = 0;
      }
      std::vector<int32_t>& blocks =
          prompt_blocks_.emplace_back(static_cast<size_t>(CacheBlocksFor(Size(prompt.tokens) + LongestChoice(prompt))));
      std::iota(blocks.begin(), blocks.end(), static_cast<int32_t>(group_blocks));
      group_blocks += std::ssize(blocks);
      blocks_ = std::max(blocks_, group_blocks);
      group_rows += Size(prompt.tokens);
      groups_.back().push_back(i);
      scorers_.emplace_back(prompt.choices);
    }
  }

  // The prompts, then their first choices, then their second ones, each in the place of the one before.
  void AddPasses(const std::vector<size_t>& group, StageWalk& walk) {
    std::vector<size_t> sequences;
    size_t most_choices = 0;
    for (const size_t i : group) {
      const ChoicePrompt& prompt = prompts_[i];
      SequencePart part{.tokens = prompt.tokens, .blocks = prompt_blocks_[i], .positions = &prompt.positions};
      if (prompt.images != nullptr) part.images = *prompt.images;
      sequences.push_back(Add(part, {i, false}, walk));
      most_choices = std::max(most_choices, prompt.choices.size());
    }
    AddInPasses(sequences, walk);
    for (size_t choice = 0; choice < most_choices; ++choice) {
      sequences.clear();
      for (const size_t i : group) {
        const ChoicePrompt& prompt = prompts_[i];
        // The last token of a choice is predicted and never read.
        if (choice >= prompt.choices.size() || prompt.choices[choice].size() == 1) continue;
        const std::span<const int32_t> tokens = prompt.choices[choice];
        sequences.push_back(Add({.tokens = tokens.first(tokens.size() - 1),
                                 .context = Size(prompt.tokens),
                                 .blocks = prompt_blocks_[i],
                                 .positions = &prompt.positions},
                                {i, true}, walk));
      }
      AddInPasses(sequences, walk);
    }
  }

  size_t Add(const SequencePart& part, const Origin& origin, StageWalk& walk) {
    origins_.push_back(origin);
    sizes_.push_back(Size(part.tokens));
    return walk.Add(part);
  }

  // No pass has more than kChoicePassRows rows; a longer sequence has passes of its own.
  void AddInPasses(std::span<const size_t> sequences, StageWalk& walk) const {
    std::vector<StageWalk::Rows> pass;
    int64_t rows = 0;
    const auto flush = [&] {
      if (!pass.empty()) walk.AddPass(std::exchange(pass, {}));
      rows = 0;
    };
    for (const size_t sequence : sequences) {
      const int64_t size = sizes_[sequence];
      if (rows + size > kChoicePassRows) flush();
      for (int64_t begin = 0; begin < size; begin += kChoicePassRows) {
        const int64_t end = std::min(begin + kChoicePassRows, size);
        pass.push_back({sequence, begin, end});
        rows += end - begin;
        if (size > kChoicePassRows) flush();
      }
    }
    flush();
  }

  // A row of a pass whose logits are wanted, and whose they are.
  struct Wanted {
    int32_t row = 0;
    size_t prompt = 0;
  };

  // Of a prompt the last row, of a choice every row: in the order in which its scorer takes them.
  [[nodiscard]] std::vector<Wanted> WantedOf(std::span<const StageWalk::Rows> pass) const {
    std::vector<Wanted> out;
    int32_t first = 0;
    for (const StageWalk::Rows& rows : pass) {
      const Origin& origin = origins_[rows.sequence];
      const int64_t wanted_from = origin.is_choice ? 0 : sizes_[rows.sequence] - 1;
      for (int64_t row = std::max(rows.begin, wanted_from); row < rows.end; ++row) {
        out.push_back({first + static_cast<int32_t>(row - rows.begin), origin.prompt});
      }
      first += static_cast<int32_t>(rows.end - rows.begin);
    }
    return out;
  }

  absl::Status Score(const Stage& head, StageWalk& walk, size_t pass) {
    const auto vocabulary = static_cast<size_t>(model_.config().vocab_size);
    const std::vector<Wanted> wanted = WantedOf(walk.pass(pass));
    for (size_t begin = 0; begin < wanted.size(); begin += kChoiceLogitRows) {
      const auto part = std::span(wanted).subspan(begin, std::min<size_t>(kChoiceLogitRows, wanted.size() - begin));
      std::vector<int32_t> rows;
      for (const Wanted& one : part) rows.push_back(one.row);
      logits_.resize(part.size() * vocabulary);
      GWQ_RETURN_IF_ERROR(walk.Logits(head, pass, rows, logits_));
      for (size_t i = 0; i < part.size(); ++i) {
        const auto row = std::span<const float>(logits_).subspan(i * vocabulary, vocabulary);
        GWQ_RETURN_IF_ERROR(scorers_[part[i].prompt].Take(row).status());
      }
    }
    return absl::OkStatus();
  }

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  const std::span<const ChoicePrompt> prompts_;
  std::vector<std::vector<size_t>> groups_;          // of prompts that share passes
  std::vector<std::vector<int32_t>> prompt_blocks_;  // of the cache, by prompt
  int64_t blocks_ = 0;
  std::deque<ChoiceScorer> scorers_;  // by prompt
  std::vector<Origin> origins_;       // by sequence of the walk
  std::vector<int64_t> sizes_;        // likewise
  std::vector<float> logits_;
};

}  // namespace

int64_t ChoicePrompt::rows() const {
  int64_t rows = Size(tokens);
  for (const auto& choice : choices) rows += Size(choice) - 1;
  return rows;
}

absl::StatusOr<std::vector<std::vector<double>>> ScoreChoices(const Model& model, WeightLoader& loader,
                                                              Backend& backend, std::span<const ChoicePrompt> prompts,
                                                              std::string_view phase, Progress& progress) {
  std::vector<std::vector<double>> out(prompts.size());
  const auto total = static_cast<int64_t>(prompts.size());
  for (size_t begin = 0; begin < prompts.size();) {
    size_t end = begin;
    for (int64_t rows = 0; end < prompts.size(); ++end) {
      rows += prompts[end].rows();
      if (rows > kChoiceWaveRows) break;
    }
    if (end == begin) {
      return absl::InvalidArgumentError(fmt::format("a question with its choices has {} tokens; at most {} are scored",
                                                    prompts[begin].rows(), kChoiceWaveRows));
    }
    progress.Step(phase, static_cast<int64_t>(begin), total);
    Wave wave(model, loader, backend, prompts.subspan(begin, end - begin));
    GWQ_RETURN_IF_ERROR(wave.Run(progress, std::span(out).subspan(begin, end - begin)));
    begin = end;
  }
  progress.Step(phase, total, total);
  return out;
}

}  // namespace gwq
