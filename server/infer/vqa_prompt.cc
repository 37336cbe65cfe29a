#include "server/infer/vqa_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "core/base/status.h"
#include "core/prompt/image_rows.h"
#include "server/infer/generate_request.h"

namespace gwq {
namespace {

class Stopwatch {
 public:
  explicit Stopwatch(double& millis) : millis_(millis) {}
  ~Stopwatch() {
    millis_ += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& millis_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

std::span<const std::byte> BytesOf(const ImageFile& file) { return std::as_bytes(std::span(file.bytes)); }

std::string ImageField(size_t index) { return fmt::format("images[{}]", index); }

absl::StatusOr<std::vector<PreparedImage>> PlanImages(const ServedModel& model, const ImageLimits& limits,
                                                      const std::vector<ImageFile>& files) {
  std::vector<PreparedImage> plans;
  for (size_t i = 0; i < files.size(); ++i) {
    const absl::StatusOr<ImageHeader> header = ReadImageHeader(BytesOf(files[i]), limits);
    if (!header.ok()) return AsField(header.status(), ImageField(i));
    absl::StatusOr<PreparedImage> plan = model.vision()->processor().Plan(header->width, header->height);
    if (!plan.ok()) return AsField(plan.status(), ImageField(i));
    plans.push_back(*std::move(plan));
  }
  return plans;
}

// A fault of the conversation or of a choice as one of the request's field.
absl::Status OfMessages(const absl::Status& status, const std::string& field) {
  constexpr std::string_view kChoices = "choices";
  const auto violations = FieldViolations(status);
  if (violations.empty()) return status;
  const auto& [path, description] = violations[0];
  if (path == "messages") return InvalidField(field, description);
  if (path.starts_with(kChoices)) return InvalidField("choices.texts" + path.substr(kChoices.size()), description);
  return status;
}

void TakeChoices(const ModelText& text, std::vector<std::vector<int32_t>> choices, VqaInput& input) {
  VqaTask& task = input.task;
  for (size_t i = 0; i < choices.size(); ++i) {
    // That there is one was seen when the request was read.
    if (task.with_end) choices[i].push_back(text.eos_id().value_or(0));
    task.choice_tokens.push_back(std::ssize(choices[i]));
    task.choice_lengths.push_back(task.normalization == v1::BY_TOKENS  ? std::ssize(choices[i])
                                  : task.normalization == v1::BY_BYTES ? std::ssize(task.choices[i])
                                                                       : 1);
  }
  input.generation.choices = std::move(choices);
}

absl::Status MakeTokens(const ServedModel& model, std::span<const PreparedImage* const> images, VqaInput& input,
                        VqaPrompt& out) {
  GenerationRequest& generation = input.generation;
  absl::StatusOr<Prompt> prompt = model.prompts().Build(input.messages, images, RenderNow(), input.task.choices,
                                                        {.max_prompt_tokens = MaxPromptTokens(model)});
  if (!prompt.ok()) return OfMessages(prompt.status(), input.text_field);
  generation.prompt = std::move(prompt->tokens);
  generation.positions = std::move(prompt->positions);
  TakeChoices(model.text(), std::move(prompt->choices), input);
  out.image_rows = prompt->image_rows;
  return absl::OkStatus();
}

absl::Status EncodeOne(const ServedModel& model, const ImageLimits& limits, const ImageFile& file,
                       const PreparedImage& plan, const std::function<absl::Status()>& check, std::span<float> rows,
                       ImageTimes& times) {
  std::optional<PreparedImage> prepared;
  {
    const Stopwatch watch(times.prepare_millis);
    GWQ_ASSIGN_OR_RETURN(prepared, ReadImage(model.vision()->processor(), BytesOf(file), limits, check));
  }
  if (prepared->image_tokens != plan.image_tokens) {
    return absl::InternalError("the size of the image differs from its header");
  }
  const Stopwatch watch(times.encode_millis);
  return model.vision()->Encode(*prepared, check, rows);
}

// Rows of all image parts in order; an image that stands in several is encoded once.
absl::Status EncodeAll(const ServedModel& model, const ImageLimits& limits, const std::function<absl::Status()>& check,
                       const VqaInput& input, const std::vector<PreparedImage>& plans, int64_t hidden,
                       std::vector<float>& rows, ImageTimes& times) {
  std::vector<std::optional<std::span<float>>> encoded(plans.size());
  std::span<float> left = rows;
  for (const int part : input.image_order) {
    const auto i = static_cast<size_t>(part);
    const auto size = static_cast<size_t>(plans[i].image_tokens * hidden);
    const std::span<float> place = left.first(size);
    left = left.subspan(size);
    if (encoded[i].has_value()) {
      std::ranges::copy(*encoded[i], place.begin());
      continue;
    }
    GWQ_RETURN_IF_ERROR(check());
    const absl::Status status = EncodeOne(model, limits, input.images[i], plans[i], check, place, times);
    if (!status.ok()) return AsField(status, ImageField(i));
    encoded[i] = place;
  }
  return check();
}

}  // namespace

absl::StatusOr<VqaPrompt> MakeVqaPrompt(const ServedModel& model, const ImageLimits& limits, ImageMemory& memory,
                                        const std::function<absl::Status()>& check, VqaInput& input) {
  VqaPrompt out;
  GWQ_ASSIGN_OR_RETURN(out.images, PlanImages(model, limits, input.images));
  std::vector<const PreparedImage*> in_order;
  for (const int part : input.image_order) in_order.push_back(&out.images[static_cast<size_t>(part)]);
  GWQ_RETURN_IF_ERROR(MakeTokens(model, in_order, input, out));
  const RequestLimits& request_limits = model.engine().limits();
  GWQ_RETURN_IF_ERROR(CheckPromptSize(std::ssize(input.generation.prompt), input.text_field, request_limits));
  GWQ_RETURN_IF_ERROR(CheckAnswerFields(input.generation, request_limits));
  if (in_order.empty()) return out;
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<std::vector<float>> rows,
                       memory.Floats(static_cast<size_t>(out.image_rows * request_limits.hidden_size)));
  GWQ_RETURN_IF_ERROR(EncodeAll(model, limits, check, input, out.images, request_limits.hidden_size, *rows, out.times));
  input.generation.images = std::move(rows);
  return out;
}

}  // namespace gwq
