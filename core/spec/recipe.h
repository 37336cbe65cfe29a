// A quantization recipe: what the caller asks for, with one field table that validates it and that proto, JSON and
// flags are held to by a round-trip test.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/spec/method.h"

namespace gwq {

// Which |score| picks the outliers of GWQ. Magnitude and random are controls, not the method.
enum class Select { kGradient, kMagnitude, kRandom };
// kLast: cross-entropy at the last position (as published); kAll: mean over all positions.
enum class Loss { kLast, kAll };
// kImage: an image and a question about it. kGenerated: a text that the model makes by itself; of a vision-language
// model kImage with everything built in. kDataset: lines of a dataset. kDefault: the set that ships in the program
// (docs/calibration-set.md). kMix: shares of several of them.
enum class CalibrationSource { kGenerated, kText, kChat, kTokenIds, kFile, kImage, kDataset, kDefault, kMix };

// How much time tuned takes: it sets what the recipe leaves open (RecipeOf).
enum class Effort { kFast, kNormal, kThorough };

// Options of a method, under its own name in the recipe.

// GWQ: outliers by the gradient of one backward pass (arXiv 2411.00850).
struct GwqOptions {
  double outlier_ratio = 0.01;  // floor(ratio * n) weights of each matrix, in [0, 0.5]
  Select select = Select::kGradient;
  Loss loss = Loss::kLast;
  friend bool operator==(const GwqOptions&, const GwqOptions&) = default;
};
// GPTQ: columns one by one, each error compensated by the columns after it (arXiv 2210.17323).
struct GptqOptions {
  double damping = 0.01;     // share of the mean diagonal that is added to the Gram matrix's diagonal
  bool range_search = true;  // of each group's range, by the error weighted with the Gram matrix; false: min and max
  bool act_order = false;    // columns by falling diagonal; the groups stay where they are
  friend bool operator==(const GptqOptions&, const GptqOptions&) = default;
};
// SpQR: GPTQ with outliers where rounding costs the most output error (arXiv 2306.03078).
struct SpqrOptions {
  double outlier_ratio = 0.01;  // as GwqOptions
  double damping = 0.01;        // as GptqOptions
  bool range_search = true;
  friend bool operator==(const SpqrOptions&, const SpqrOptions&) = default;
};

// Learned rounding of each block, then of the scales of all blocks together (docs/method.md, "tuned").
struct TunedOptions {
  double outlier_ratio = 0;  // as GwqOptions
  int metric_samples = 16;   // samples of the gradient pass that weighs the errors of each block's output; 0: no pass
  int block_steps = 40;      // steps of learned rounding of each block, one sample each
  int model_steps = 48;      // steps that tune the scales of all blocks together, one sample each
  double text_share = 0;     // of the sample's own next token in what these steps aim at; the full model's is the rest
  friend bool operator==(const TunedOptions&, const TunedOptions&) = default;
};

// How large the artifact may be, instead of bits and group size: then these are chosen for each matrix by what its
// rounding is measured to cost (docs/method.md, "Budgets"). Of bits and bytes at most one is given; 0: no target.
struct Target {
  double bits = 0;         // stored bits per weight of all quantized Linear matrices together, at most
  int64_t bytes = 0;       // of all stored tensors together, at most
  int64_t samples = 16;    // of the gradient pass that measures the costs, at most
  bool tie_fused = false;  // one choice for query, key and value, and one for gate and up, as fused kernels need it
  bool outliers = false;   // also chooses a share of outliers, where the method takes some and the recipe names none
  [[nodiscard]] bool given() const { return bits > 0 || bytes > 0; }
  friend bool operator==(const Target&, const Target&) = default;
};

// Overrides for the modules it matches; unset fields keep the value of what came before. Rules apply in order, the last
// wins.
struct RecipeRule {
  std::string pattern;  // glob on the module's name without ".weight": "*", "model.layers.0.*", "*.down_proj"
  std::string part;     // "", "language", "vision" or "projector"
  std::string kind;     // "", "linear", "head" or "embedding"
  std::optional<Method> method = {};
  std::optional<int> bits = {};
  std::optional<int64_t> group_size = {};
  std::optional<double> outlier_ratio = {};
  friend bool operator==(const RecipeRule&, const RecipeRule&) = default;
};

struct ChatTurn {
  std::string role;
  std::string content;
  friend bool operator==(const ChatTurn&, const ChatTurn&) = default;
};

// The longest text that a recipe may hold.
inline constexpr size_t kMaxRecipeTextBytes = size_t{4} << 20;

// A share of the samples of a mix.
struct CalibrationPart {
  CalibrationSource source = CalibrationSource::kDefault;  // kDefault, kGenerated, kText, kFile or kDataset
  std::string text;                                        // as the fields of a Calibration
  std::string blob;
  std::string dataset;
  double weight = 1;  // above 0; its share of the sum of all weights
  friend bool operator==(const CalibrationPart&, const CalibrationPart&) = default;
};

struct Calibration {
  CalibrationSource source = CalibrationSource::kGenerated;
  std::string text;                // kText
  std::vector<ChatTurn> messages;  // kChat, rendered with the model's own template
  std::vector<int32_t> token_ids;  // kTokenIds
  std::string blob;                // kFile: digest of an uploaded text; kImage: of an image, empty: one built in
  std::string question;            // kImage; empty: one built in
  std::string answer;              // kImage; empty: the sample ends where the model would begin to answer
  int64_t max_tokens = 512;        // of each sample, 2 to 8192; a text is cut there; see kImageSampleTokens
  // Stretches of kText and kFile, texts of kGenerated and kDefault, lines of kDataset, all parts of kMix together; 0:
  // DefaultSamples.
  int64_t samples = 0;
  std::string dataset;                 // kDataset: digest of a dataset's manifest
  std::vector<CalibrationPart> parts;  // kMix
  friend bool operator==(const Calibration&, const Calibration&) = default;
};

// A sample with an image cannot be cut: it may have this many tokens, or max_tokens where that is more.
inline constexpr int64_t kImageSampleTokens = 2048;

struct Recipe {
  Method method = Method::kGwq;  // of every Linear that is not the head
  Effort effort = Effort::kNormal;
  int bits = 4;  // 2 to 8
  int64_t group_size = 64;
  int format_version = 1;  // of the stored matrices: 1 or 2 (docs/packed-format.md); see RecipeOf
  int scale_bits = 16;     // of a group's scale: 16, or 8 with format_version 2
  Target target;           // if given, bits and group_size hold for what it does not choose for
  GwqOptions gwq;
  GptqOptions gptq;
  SpqrOptions spqr;
  TunedOptions tuned;
  int head_bits = 8;       // 8 (round to nearest) or 16 (kept); a tied head follows embedding_bits
  int embedding_bits = 8;  // 8 or 16
  int threads = 2;         // of the calibration; part of what determines the bits
  uint64_t seed = 0;       // of random outliers, and of which samples are taken; 0: evenly
  Calibration calibration;
  std::vector<RecipeRule> rules;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

// The recipe whose other fields are all left open. `tuned` stores format version 2 with 8-bit scales, or 16-bit ones
// where `format_version` asks for 1.
[[nodiscard]] Recipe RecipeOf(Method method, Effort effort, std::optional<int> format_version);

// INVALID_ARGUMENT naming "recipe.<field>", the value, the limit and the remedy.
[[nodiscard]] absl::Status CheckRecipe(const Recipe& recipe);
// Every field, canonical (sorted keys, no spaces).
[[nodiscard]] std::string RecipeJson(const Recipe& recipe);
// Missing fields take the defaults of its method and effort; unknown fields and wrong types are INVALID_ARGUMENT naming
// them. Checks the result. Fields that stood elsewhere one version ago are read from there (MoveOldFields); `notes`, if
// given, gets a line for each.
[[nodiscard]] absl::StatusOr<Recipe> ParseRecipe(std::string_view json, std::vector<std::string>* notes = nullptr);
// Moves the fields of a recipe's object that stood elsewhere one version ago ("outlier_ratio", "select" and "loss",
// now below "gwq") to their place, where that is free, and returns a line for each that tells the new name. What has no
// place in a recipe any more is taken out by TakeOldTextEvaluation (core/spec/quantize_evaluations.h).
std::vector<std::string> MoveOldFields(nlohmann::json& recipe);
// The recipe as an artifact's manifest holds it, canonical. The options of methods that the recipe does not use are
// left out, and GWQ's have the place of the first version: the same recipe gives the same artifact as ever.
[[nodiscard]] std::string BytesRecipeJson(const Recipe& recipe);

// What a calibration, or a part of it, names by its digest, and the field that does: "recipe.calibration.dataset" or
// "recipe.calibration.parts[2].dataset".
struct NamedDigest {
  std::string field;
  std::string digest;
};
[[nodiscard]] std::vector<NamedDigest> CalibrationDatasets(const Calibration& calibration);
[[nodiscard]] std::vector<NamedDigest> CalibrationBlobs(const Calibration& calibration);

// The calibrations that a recipe's samples are taken from, `samples` of them in all: the parts of a mix by their
// weights (largest remainder; of equal ones the first), each with the mix's max_tokens and its own number of samples,
// which may be 0; of another source itself with `samples`.
[[nodiscard]] std::vector<Calibration> CalibrationParts(const Calibration& calibration, int64_t samples);

// Samples of a calibration whose recipe names no number: one, or as many as methods need that look at more than one
// gradient.
[[nodiscard]] int64_t DefaultSamples(CalibrationSource source, bool needs_several, Effort effort = Effort::kNormal);

// The field table: one line a field, in order, with its JSON type and help text. Flags, proto and documentation are
// tested against it.
struct RecipeField {
  std::string_view name;  // "bits", "calibration.text", "rules.pattern"
  std::string_view type;  // "enum", "int", "double", "bool", "string", "repeated"
  std::string_view help;
};
[[nodiscard]] const std::vector<RecipeField>& RecipeFields();

}  // namespace gwq
