#include "server/infer/vqa_request.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "core/base/status.h"
#include "core/prompt/choice_text.h"
#include "server/infer/generate_request.h"

namespace gwq {
namespace {

constexpr int kMaxChoices = 1000;
constexpr int kMaxParts = 4096;

absl::Status ReadImages(const ServedModel& model, const v1::VqaRequest& request, const std::string& principal,
                        ImageStore& store, const ImageLimits& limits, VqaInput& out) {
  if (request.images().empty()) return absl::OkStatus();
  if (model.vision() == nullptr) {
    return absl::FailedPreconditionError(
        fmt::format("{} has no vision tower and takes no images; ask a vision-language model", model.name()));
  }
  if (request.images_size() > limits.max_images) {
    return InvalidField(
        "images", fmt::format("{} images, the limit of a request is {}", request.images_size(), limits.max_images));
  }
  for (int i = 0; i < request.images_size(); ++i) {
    const std::string field = fmt::format("images[{}]", i);
    ImageFile file;
    switch (request.images(i).source_case()) {
      case v1::ImageInput::kData:
        file.bytes = request.images(i).data();
        break;
      case v1::ImageInput::kSha256: {
        const absl::StatusOr<Digest> digest = Digest::Parse(request.images(i).sha256());
        if (!digest.ok()) return AsField(digest.status(), field + ".sha256");
        absl::StatusOr<std::shared_ptr<const std::string>> kept = store.Find(principal, *digest);
        if (!kept.ok()) return Annotate(kept.status(), field);
        file.kept = *std::move(kept);
        file.bytes = *file.kept;
        break;
      }
      case v1::ImageInput::SOURCE_NOT_SET:
        return InvalidField(field, "neither data nor sha256 is set");
    }
    if (file.bytes.size() > limits.max_bytes) {
      return InvalidField(field, fmt::format("has {} bytes, the limit is {}", file.bytes.size(), limits.max_bytes));
    }
    out.images.push_back(std::move(file));
  }
  return absl::OkStatus();
}

void ReadQuestion(const v1::VqaRequest& request, VqaInput& out) {
  out.text_field = "question";
  for (int i = 0; i < request.images_size(); ++i) out.image_order.push_back(i);
  out.messages.push_back(UserTurn(static_cast<size_t>(request.images_size()), request.question()));
}

absl::Status ReadPart(const v1::DialoguePart& part, const std::string& field, int images, ChatMessage& message,
                      std::vector<int>& order) {
  switch (part.part_case()) {
    case v1::DialoguePart::kText:
      message.parts.push_back({.text = part.text()});
      return absl::OkStatus();
    case v1::DialoguePart::kImage:
      if (part.image() < 0 || part.image() >= images) {
        return InvalidField(field + ".image", fmt::format("{} is not one of the {} images", part.image(), images));
      }
      message.parts.push_back({.image = true});
      order.push_back(part.image());
      return absl::OkStatus();
    case v1::DialoguePart::PART_NOT_SET:
      break;
  }
  return InvalidField(field, "neither text nor image is set");
}

absl::Status ReadDialogue(const v1::VqaRequest& request, const ImageLimits& limits, VqaInput& out) {
  out.text_field = "dialogue.messages";
  const auto& messages = request.dialogue().messages();
  GWQ_RETURN_IF_ERROR(CheckMessageCount(messages.size(), out.text_field));
  int parts = 0;
  for (int i = 0; i < messages.size(); ++i) {
    const std::string field = fmt::format("dialogue.messages[{}]", i);
    parts += messages[i].parts_size();
    if (parts > kMaxParts) {
      return InvalidField(
          field + ".parts",
          fmt::format("make {} parts so far, the limit of a dialogue is {}; join texts", parts, kMaxParts));
    }
    if (messages[i].role().empty()) {
      return InvalidField(field + ".role", "is empty; usual are system, user and assistant");
    }
    if (messages[i].parts().empty()) return InvalidField(field + ".parts", "is empty; a message has at least one part");
    ChatMessage message{messages[i].role(), ""};
    for (int j = 0; j < messages[i].parts_size(); ++j) {
      GWQ_RETURN_IF_ERROR(ReadPart(messages[i].parts(j), fmt::format("{}.parts[{}]", field, j), request.images_size(),
                                   message, out.image_order));
    }
    out.messages.push_back(std::move(message));
  }
  if (std::ssize(out.image_order) > limits.max_images) {
    return InvalidField(out.text_field, fmt::format("place images {} times, the limit of a request is {}",
                                                    out.image_order.size(), limits.max_images));
  }
  const std::set<int> placed(out.image_order.begin(), out.image_order.end());
  for (int i = 0; i < request.images_size(); ++i) {
    if (!placed.contains(i)) {
      return InvalidField(fmt::format("images[{}]", i), "stands in no part of the dialogue; place it or leave it out");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadInput(const v1::VqaRequest& request, const ImageLimits& limits, VqaInput& out) {
  switch (request.input_case()) {
    case v1::VqaRequest::kQuestion:
      if (request.question().empty() && request.images().empty()) return InvalidField("question", "is empty");
      ReadQuestion(request, out);
      return absl::OkStatus();
    case v1::VqaRequest::kDialogue:
      return ReadDialogue(request, limits, out);
    case v1::VqaRequest::INPUT_NOT_SET:
      break;
  }
  return InvalidField("input", "neither question nor dialogue is set");
}

// Fields that shape a generated answer, if none is generated.
absl::Status RefuseAnswerFields(const v1::VqaRequest& request) {
  const auto refuse = [](std::string_view field) {
    return InvalidField(field, "shapes a generated answer, and choices are scored instead; leave it out");
  };
  if (request.has_max_tokens()) return refuse("max_tokens");
  if (request.has_sampling()) return refuse("sampling");
  if (!request.stop().empty()) return refuse("stop");
  if (!request.stop_ids().empty()) return refuse("stop_ids");
  if (request.ignore_eos()) return refuse("ignore_eos");
  return absl::OkStatus();
}

absl::Status CheckIsText(const ServedModel& model, const std::string& choice, const std::string& field) {
  const Tokenizer& tokenizer = model.text().tokenizer();
  const absl::StatusOr<std::vector<int32_t>> ids = tokenizer.Encode(choice, /*add_special_tokens=*/false);
  if (!ids.ok()) return InvalidField(field, MessageOf(ids.status()));
  return CheckNoneNamed(tokenizer, NamedTokens(tokenizer, choice, *ids, model.prompts().image_token()), field);
}

absl::Status ReadChoices(const ServedModel& model, const v1::VqaRequest& request, VqaInput& out) {
  const ModelText& text = model.text();
  GWQ_RETURN_IF_ERROR(RefuseAnswerFields(request));
  const v1::ChoiceSet& choices = request.choices();
  if (choices.texts_size() < 2 || choices.texts_size() > kMaxChoices) {
    return InvalidField("choices.texts", fmt::format("{} choices, give 2 to {}", choices.texts_size(), kMaxChoices));
  }
  if (!v1::ChoiceNormalization_IsValid(choices.normalization())) {
    return InvalidField("choices.normalization",
                        fmt::format("{} is unknown", static_cast<int>(choices.normalization())));
  }
  if (choices.with_end() && !text.eos_id().has_value()) {
    return absl::FailedPreconditionError("choices.with_end: the model names no end-of-sequence token");
  }
  std::set<std::string> seen;
  for (int i = 0; i < choices.texts_size(); ++i) {
    const std::string field = fmt::format("choices.texts[{}]", i);
    if (choices.texts(i).empty()) return InvalidField(field, "is empty");
    if (!seen.insert(choices.texts(i)).second) return InvalidField(field, "stands there twice");
    GWQ_RETURN_IF_ERROR(CheckIsText(model, choices.texts(i), field));
    out.task.choices.push_back(choices.texts(i));
  }
  out.task.with_end = choices.with_end();
  out.task.normalization = choices.normalization();
  return absl::OkStatus();
}

absl::Status ReadBoxes(const ServedModel& model, const v1::VqaRequest& request, VqaTask& task) {
  if (model.vision() == nullptr || model.vision()->processor().grounding() == GroundingFormat::kNone) {
    return absl::UnimplementedError(
        fmt::format("boxes: {} is of a family that has no text for boxes; ask for free text", model.name()));
  }
  if (request.images().empty()) return InvalidField("images", "is empty; boxes are in pixels of an image");
  const v1::BoxTask& boxes = request.boxes();
  if (!boxes.has_image() && request.images_size() > 1) {
    return InvalidField("boxes.image",
                        fmt::format("is not set; which of the {} images are boxes in?", request.images_size()));
  }
  if (boxes.image() < 0 || boxes.image() >= request.images_size()) {
    return InvalidField("boxes.image",
                        fmt::format("{} is not one of the {} images", boxes.image(), request.images_size()));
  }
  task.box_image = boxes.image();
  return absl::OkStatus();
}

absl::Status ReadTask(const ServedModel& model, const v1::VqaRequest& request, VqaInput& out) {
  VqaTask& task = out.task;
  if (request.has_abstain_below()) {
    task.abstain_below = request.abstain_below();
    if (!(task.abstain_below >= 0 && task.abstain_below <= 1)) {
      return InvalidField("abstain_below", fmt::format("{} is outside [0, 1]", task.abstain_below));
    }
  }
  if (request.task_case() == v1::VqaRequest::kChoices) {
    task.kind = VqaTask::Kind::kChoices;
    return ReadChoices(model, request, out);
  }
  if (request.task_case() == v1::VqaRequest::kBoxes) {
    task.kind = VqaTask::Kind::kBoxes;
    GWQ_RETURN_IF_ERROR(ReadBoxes(model, request, task));
  }
  out.generation.log_probabilities = true;
  return ReadAnswerFields(model.text(), request, out.generation);
}

}  // namespace

absl::StatusOr<VqaInput> ReadVqaRequest(const ServedModel& model, const v1::VqaRequest& request,
                                        const std::string& principal, ImageStore& store, const ImageLimits& limits) {
  VqaInput out;
  GWQ_RETURN_IF_ERROR(ReadInput(request, limits, out));
  GWQ_RETURN_IF_ERROR(ReadImages(model, request, principal, store, limits, out));
  GWQ_RETURN_IF_ERROR(ReadTask(model, request, out));
  out.generation.input_field = out.text_field;
  return out;
}

}  // namespace gwq
