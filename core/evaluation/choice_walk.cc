#include "core/evaluation/choice_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "core/base/log_probability.h"
#include "core/base/status.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

int64_t Size(std::span<const int32_t> tokens) { return static_cast<int64_t>(tokens.size()); }

int64_t LongestChoice(const ChoicePrompt& prompt) {
  int64_t longest = 0;
  for (const auto& choice : prompt.choices) longest = std::max(longest, Size(choice));
  return longest;
}

// One pass: of some prompts either the prompt itself or one choice each.
struct Step {
  static constexpr int kPrompt = -1;
  int choice = kPrompt;
  std::vector<size_t> prompts;  // of the wave
  // Of a prompt or choice that is longer than a pass: these of its rows.
  int64_t begin = 0;
  int64_t end = std::numeric_limits<int64_t>::max();
};

class Wave {
 public:
  Wave(const Model& model, WeightLoader& loader, Backend& backend, std::span<const ChoicePrompt> prompts,
       std::span<std::vector<double>> out)
      : model_(model),
        loader_(loader),
        backend_(backend),
        prompts_(prompts),
        out_(out),
        hidden_(model.config().hidden_size),
        vocabulary_(model.config().vocab_size) {}

  absl::Status Run(Progress& progress) {
    Plan();
    GWQ_RETURN_IF_ERROR(MakeCache());
    const int last = model_.stages() - 1;
    for (int stage = 0; stage <= last; ++stage) {
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
      for (const Step& step : steps_) {
        GWQ_RETURN_IF_ERROR(progress.Check());
        GWQ_RETURN_IF_ERROR(stage < last ? RunStage(*loaded, stage, step) : Score(*loaded, step));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Where the states of a prompt's rows stand, and its share of the cache.
  struct Place {
    int64_t first_row = 0;             // of the prompt
    std::vector<int64_t> choice_rows;  // first row of each choice
    std::vector<int32_t> blocks;       // of the cache, shared by the groups
  };

  void Plan() {
    places_.resize(prompts_.size());
    std::vector<size_t> group;
    int64_t group_rows = 0;
    int64_t group_blocks = 0;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const ChoicePrompt& prompt = prompts_[i];
      if (!group.empty() && group_rows + Size(prompt.tokens) > kChoicePassRows) {
        EndGroup(group);
        group_rows = group_blocks = 0;
      }
      Place& place = places_[i];
      place.first_row = rows_;
      rows_ += Size(prompt.tokens);
      for (const auto& choice : prompt.choices) {
        place.choice_rows.push_back(rows_);
        rows_ += Size(choice) - 1;
      }
      place.blocks.resize(static_cast<size_t>(CacheBlocksFor(Size(prompt.tokens) + LongestChoice(prompt))));
      std::iota(place.blocks.begin(), place.blocks.end(), static_cast<int32_t>(group_blocks));
      group_blocks += static_cast<int64_t>(place.blocks.size());
      blocks_ = std::max(blocks_, group_blocks);
      group_rows += Size(prompt.tokens);
      group.push_back(i);
      out_[i].assign(prompt.choices.size(), 0.0);
    }
    EndGroup(group);
    states_.resize(static_cast<size_t>(rows_ * hidden_));
  }

  // A group's prompts share passes; its choices overwrite each other behind the prompts.
  void EndGroup(std::vector<size_t>& group) {
    AddSteps(Step::kPrompt, group);
    size_t most = 0;
    for (const size_t i : group) most = std::max(most, prompts_[i].choices.size());
    for (size_t choice = 0; choice < most; ++choice) AddSteps(static_cast<int>(choice), group);
    group.clear();
  }

  // No pass has more than kChoicePassRows rows.
  void AddSteps(int choice, const std::vector<size_t>& group) {
    Step step;
    step.choice = choice;
    int64_t rows = 0;
    const auto flush = [&] {
      if (!step.prompts.empty()) steps_.push_back(step);
      step.prompts.clear();
      rows = 0;
    };
    for (const size_t i : group) {
      const int64_t size = Size(TokensOf(choice, i));
      if (size == 0) continue;
      if (rows + size > kChoicePassRows) flush();
      step.prompts.push_back(i);
      rows += size;
      if (size <= kChoicePassRows) continue;
      for (int64_t begin = 0; begin < size; begin += kChoicePassRows) {
        steps_.push_back({choice, {i}, begin, std::min(begin + kChoicePassRows, size)});
      }
      step.prompts.clear();
      rows = 0;
    }
    flush();
  }

  // The rows of a prompt, or of its choice: all tokens but the last.
  [[nodiscard]] std::span<const int32_t> TokensOf(int choice, size_t prompt) const {
    const ChoicePrompt& from = prompts_[prompt];
    if (choice == Step::kPrompt) return from.tokens;
    if (static_cast<size_t>(choice) >= from.choices.size()) return {};
    const std::span<const int32_t> tokens = from.choices[static_cast<size_t>(choice)];
    return tokens.first(tokens.size() - 1);
  }

  absl::Status MakeCache() {
    GWQ_ASSIGN_OR_RETURN(cache_, backend_.CreateKvCache(CacheShapeFor(model_.config(), 1, blocks_)));
    return absl::OkStatus();
  }

  // The tokens of a step that stand in one prompt's sequence, and where their states are.
  struct Rows {
    std::span<const int32_t> tokens;
    int64_t context = 0;
    int64_t first_state = 0;
  };
  [[nodiscard]] Rows RowsOf(const Step& step, size_t prompt) const {
    const std::span<const int32_t> all = TokensOf(step.choice, prompt);
    const int64_t end = std::min(step.end, Size(all));
    const auto tokens = all.subspan(static_cast<size_t>(step.begin), static_cast<size_t>(end - step.begin));
    const Place& place = places_[prompt];
    if (step.choice == Step::kPrompt) return {tokens, step.begin, place.first_row + step.begin};
    return {tokens, Size(prompts_[prompt].tokens) + step.begin,
            place.choice_rows[static_cast<size_t>(step.choice)] + step.begin};
  }

  // Everything a batch of a step points into.
  struct StepBatch {
    std::vector<int32_t> tokens, positions;
    std::vector<float> embeddings;
    std::vector<SequenceRows> sequences;
    std::vector<int64_t> states;  // of each row
    Batch batch;
  };

  void AddEmbeddings(const Step& step, StepBatch& out) const {
    size_t row = 0;
    for (const size_t i : step.prompts) {
      const size_t rows = RowsOf(step, i).tokens.size();
      for (const size_t end = row + rows; row < end; ++row) {
        int32_t& token = out.tokens[row];
        if (token >= 0) continue;
        const auto from = prompts_[i].images->begin() + static_cast<int64_t>(~token) * hidden_;
        token = ~static_cast<int32_t>(static_cast<int64_t>(out.embeddings.size()) / hidden_);
        out.embeddings.insert(out.embeddings.end(), from, from + hidden_);
      }
    }
  }

  [[nodiscard]] StepBatch MakeBatch(const Step& step) const {
    StepBatch out;
    for (const size_t i : step.prompts) {
      const Rows rows = RowsOf(step, i);
      const auto first = static_cast<int64_t>(out.tokens.size());
      out.sequences.push_back({first, Size(rows.tokens), rows.context, places_[i].blocks});
      out.tokens.insert(out.tokens.end(), rows.tokens.begin(), rows.tokens.end());
      for (int64_t k = 0; k < Size(rows.tokens); ++k) out.states.push_back(rows.first_state + k);
    }
    AddEmbeddings(step, out);
    const int axes = model_.config().position_axes;
    for (int axis = 0; axis < axes; ++axis) {
      for (const size_t i : step.prompts) {
        const Rows rows = RowsOf(step, i);
        for (int64_t k = 0; k < Size(rows.tokens); ++k) {
          out.positions.push_back(prompts_[i].positions.At(axis, axes, rows.context + k));
        }
      }
    }
    out.batch.rows = static_cast<int64_t>(out.tokens.size());
    out.batch.tokens = out.tokens;
    out.batch.embeddings = out.embeddings;
    out.batch.position_axes = axes;
    out.batch.positions = out.positions;
    out.batch.sequences = out.sequences;
    return out;
  }

  // Rows of one step, side by side as the batch has them.
  [[nodiscard]] std::vector<float> Gather(const StepBatch& step) const {
    std::vector<float> out;
    out.reserve(step.states.size() * static_cast<size_t>(hidden_));
    for (const int64_t state : step.states) {
      const auto from = states_.begin() + state * hidden_;
      out.insert(out.end(), from, from + hidden_);
    }
    return out;
  }

  absl::Status RunStage(const Stage& stage, int index, const Step& step) {
    const StepBatch made = MakeBatch(step);
    std::vector<float> rows = Gather(made);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(made.batch, cache_.get()));
    Activation x;
    if (index > 0) x = pass->Input(rows, hidden_);
    const Activation out = stage.Run(*pass, 0, std::move(x));
    GWQ_RETURN_IF_ERROR(pass->Read(out, rows));
    GWQ_RETURN_IF_ERROR(pass->Finish());
    for (size_t i = 0; i < made.states.size(); ++i) {
      const auto from = rows.begin() + static_cast<int64_t>(i) * hidden_;
      std::copy(from, from + hidden_, states_.begin() + made.states[i] * hidden_);
    }
    return absl::OkStatus();
  }

  // A row whose logits are wanted, and what its next token is, by choice.
  struct Wanted {
    int32_t row = 0;
    size_t prompt = 0;
    size_t next = 0;  // index of the token in the choice
  };

  [[nodiscard]] std::vector<Wanted> WantedOf(const Step& step) const {
    std::vector<Wanted> out;
    int32_t row = 0;
    for (const size_t i : step.prompts) {
      const auto rows = static_cast<int32_t>(RowsOf(step, i).tokens.size());
      if (step.choice != Step::kPrompt) {
        for (int32_t k = 0; k < rows; ++k) out.push_back({row + k, i, static_cast<size_t>(step.begin + k) + 1});
      } else if (step.end >= Size(prompts_[i].tokens)) {
        out.push_back({row + rows - 1, i, 0});
      }
      row += rows;
    }
    return out;
  }

  absl::Status Score(const Stage& head, const Step& step) {
    StepBatch made = MakeBatch(step);
    const std::vector<float> rows = Gather(made);
    const std::vector<Wanted> wanted = WantedOf(step);
    std::vector<float> logits;
    for (size_t begin = 0; begin < wanted.size(); begin += kChoiceLogitRows) {
      const auto part = std::span(wanted).subspan(begin, std::min<size_t>(kChoiceLogitRows, wanted.size() - begin));
      std::vector<int32_t> output_rows;
      for (const Wanted& one : part) output_rows.push_back(one.row);
      made.batch.output_rows = output_rows;
      logits.resize(part.size() * static_cast<size_t>(vocabulary_));
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(made.batch, cache_.get()));
      const Activation out = head.Run(*pass, 0, pass->Input(rows, hidden_));
      GWQ_RETURN_IF_ERROR(pass->Read(out, logits));
      GWQ_RETURN_IF_ERROR(pass->Finish());
      for (size_t i = 0; i < part.size(); ++i) {
        GWQ_RETURN_IF_ERROR(Add(step, part[i],
                                std::span<const float>(logits).subspan(i * static_cast<size_t>(vocabulary_),
                                                                       static_cast<size_t>(vocabulary_))));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Add(const Step& step, const Wanted& wanted, std::span<const float> logits) {
    GWQ_ASSIGN_OR_RETURN(const double norm, LogSumExp(logits));
    const auto& choices = prompts_[wanted.prompt].choices;
    const auto add = [&](size_t choice) {
      out_[wanted.prompt][choice] += LogProbability(logits, choices[choice][wanted.next], norm);
    };
    if (step.choice != Step::kPrompt) {
      add(static_cast<size_t>(step.choice));
      return absl::OkStatus();
    }
    for (size_t choice = 0; choice < choices.size(); ++choice) add(choice);
    return absl::OkStatus();
  }

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  const std::span<const ChoicePrompt> prompts_;
  const std::span<std::vector<double>> out_;
  const int64_t hidden_;
  const int64_t vocabulary_;
  std::vector<Place> places_;
  std::vector<Step> steps_;
  int64_t rows_ = 0;
  int64_t blocks_ = 0;
  std::vector<float> states_;  // [rows, hidden]
  std::unique_ptr<KvCache> cache_;
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
    Wave wave(model, loader, backend, prompts.subspan(begin, end - begin), std::span(out).subspan(begin, end - begin));
    GWQ_RETURN_IF_ERROR(wave.Run(progress));
    begin = end;
  }
  progress.Step(phase, total, total);
  return out;
}

}  // namespace gwq
