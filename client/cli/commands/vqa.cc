// gwq vqa MODEL
#include "client/library/vqa.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/draw.h"
#include "client/cli/errors.h"
#include "client/cli/output.h"
#include "client/cli/sampling_flags.h"
#include "client/cli/table.h"
#include "client/library/generate.h"
#include "client/library/input_file.h"
#include "core/io/file_system.h"

namespace gwq::cli {
namespace {

constexpr uint64_t kMaxBatchBytes = uint64_t{256} << 20;

struct Arguments {
  std::string model;
  std::vector<std::string> images;
  std::string question, system;
  std::vector<std::string> choices, choice;
  std::string normalize = "none";
  bool with_end = false;
  bool boxes = false;
  std::optional<int32_t> box_image;
  std::string draw;
  std::string batch;
  int parallel = 4;
  SamplingArguments sampling;
  std::optional<double> abstain_below;
  bool load = true;
};

// How choices are scored, without texts.
v1::ChoiceSet Scoring(const Arguments& arguments) {
  v1::ChoiceSet choices;
  choices.set_normalization(arguments.normalize == "tokens"  ? v1::BY_TOKENS
                            : arguments.normalize == "bytes" ? v1::BY_BYTES
                                                             : v1::BY_NOTHING);
  choices.set_with_end(arguments.with_end);
  return choices;
}

v1::BoxTask BoxesOf(const Arguments& arguments) {
  v1::BoxTask boxes;
  if (arguments.box_image.has_value()) boxes.set_image(*arguments.box_image);
  return boxes;
}

void SetTask(const Arguments& arguments, v1::VqaRequest& request) {
  v1::ChoiceSet choices = Scoring(arguments);
  for (const auto* texts : {&arguments.choices, &arguments.choice}) {
    for (const std::string& text : *texts) choices.add_texts(text);
  }
  if (!choices.texts().empty()) *request.mutable_choices() = choices;
  if (arguments.boxes || !arguments.draw.empty()) *request.mutable_boxes() = BoxesOf(arguments);
}

v1::VqaRequest CommonRequest(const Arguments& arguments) {
  v1::VqaRequest request;
  request.set_model(arguments.model);
  SetTask(arguments, request);
  SetSampling(arguments.sampling, request);
  if (arguments.abstain_below.has_value()) request.set_abstain_below(*arguments.abstain_below);
  return request;
}

void SetQuestion(const Arguments& arguments, int images, v1::VqaRequest& request) {
  if (arguments.system.empty()) return request.set_question(arguments.question);
  v1::DialogueMessage& system = *request.mutable_dialogue()->add_messages();
  system.set_role("system");
  system.add_parts()->set_text(arguments.system);
  v1::DialogueMessage& user = *request.mutable_dialogue()->add_messages();
  user.set_role("user");
  for (int i = 0; i < images; ++i) user.add_parts()->set_image(i);
  user.add_parts()->set_text(arguments.question);
}

// An answer may take minutes: what would keep it from being drawn is said before it is asked for.
absl::Status CheckDrawing(const Arguments& arguments) {
  if (std::ranges::any_of(arguments.images, client::IsDigest)) {
    return absl::InvalidArgumentError("--draw needs the image's file, not its digest");
  }
  const int32_t drawn = arguments.box_image.value_or(0);
  if (drawn < 0 || static_cast<size_t>(drawn) >= arguments.images.size()) {
    return absl::InvalidArgumentError(
        fmt::format("--draw needs the image that the boxes are in: --box-image is {} and --image was given {} times",
                    drawn, arguments.images.size()));
  }
  return Annotate(CheckFileCanBeWritten(LocalFileSystem(), arguments.draw), "--draw");
}

absl::Status CheckArguments(const Arguments& arguments) {
  const bool choices = !arguments.choices.empty() || !arguments.choice.empty();
  if (choices && (arguments.boxes || !arguments.draw.empty())) {
    return absl::InvalidArgumentError("give --choices or --boxes, not both");
  }
  if (!arguments.batch.empty()) {
    if (!arguments.question.empty() || !arguments.images.empty() || !arguments.draw.empty() ||
        !arguments.system.empty()) {
      return absl::InvalidArgumentError(
          "--batch brings its own questions and images: leave --question, --image, "
          "--system and --draw out");
    }
    return absl::OkStatus();
  }
  if (arguments.question.empty()) return absl::InvalidArgumentError("give --question, or --batch");
  return arguments.draw.empty() ? absl::OkStatus() : CheckDrawing(arguments);
}

// What would shape a task that a single question does not have; the lines of a batch may have it.
absl::Status CheckTaskFlags(const Arguments& arguments) {
  if (!arguments.batch.empty()) return absl::OkStatus();
  const bool choices = !arguments.choices.empty() || !arguments.choice.empty();
  if (!choices && (arguments.with_end || arguments.normalize != "none")) {
    return absl::InvalidArgumentError(
        "--normalize and --with-end are about choices: give --choices, or leave them out");
  }
  if (arguments.box_image.has_value() && !arguments.boxes && arguments.draw.empty()) {
    return absl::InvalidArgumentError("--box-image is about boxes: give --boxes or --draw, or leave it out");
  }
  return absl::OkStatus();
}

void PrintChoices(const v1::ChoiceResult& result) {
  std::vector<std::vector<std::string>> rows;
  for (int i = 0; i < result.choices_size(); ++i) {
    const v1::Choice& choice = result.choices(i);
    rows.push_back({i == result.best() ? "*" : "", fmt::format("{:.4f}", choice.probability()),
                    fmt::format("{:.3f}", choice.log_likelihood()), choice.text()});
  }
  PrintTable({"BEST", "PROBABILITY", "LOG", "CHOICE"}, rows);
}

void PrintBoxes(Session& session, const v1::BoxResult& result) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Box& box : result.boxes()) {
    rows.push_back({box.label(), fmt::format("{:.1f}", box.left()), fmt::format("{:.1f}", box.top()),
                    fmt::format("{:.1f}", box.right()), fmt::format("{:.1f}", box.bottom()),
                    fmt::format("{}", box.image())});
  }
  PrintTable({"LABEL", "LEFT", "TOP", "RIGHT", "BOTTOM", "IMAGE"}, rows);
  for (const v1::MalformedBox& box : result.malformed()) {
    session.terminal().Note(fmt::format("no box: '{}': {}", box.text(), box.reason()));
  }
}

void PrintResult(Session& session, const v1::VqaChunk& last) {
  double confidence = 0;
  bool abstained = false;
  switch (last.result().result_case()) {
    case v1::VqaResult::kChoices:
      PrintChoices(last.result().choices());
      confidence = last.result().choices().confidence();
      abstained = last.result().choices().abstained();
      break;
    case v1::VqaResult::kBoxes:
      PrintBoxes(session, last.result().boxes());
      confidence = last.result().boxes().text().confidence();
      abstained = last.result().boxes().text().abstained();
      break;
    default:
      Print("\n");
      confidence = last.result().free_text().confidence();
      abstained = last.result().free_text().abstained();
  }
  const v1::Timings& timings = last.timings();
  const int32_t generated = last.usage().generated_tokens();
  session.terminal().Note(fmt::format(
      "[confidence {:.3f}{}; {} prompt tokens, {} of images; images {:.0f} ms, prompt {:.0f} ms{}]", confidence,
      abstained ? ", abstained" : "", last.usage().prompt_tokens(), last.usage().image_tokens(),
      timings.image_queue_ms() + timings.image_prepare_ms() + timings.image_encode_ms(), timings.prefill_ms(),
      generated == 0 ? "" : fmt::format(", {} generated in {:.0f} ms", generated, timings.decode_ms())));
}

absl::StatusOr<ExitCode> RunOne(Session& session, const Arguments& arguments) {
  v1::VqaRequest request = CommonRequest(arguments);
  for (const std::string& image : arguments.images) {
    GWQ_ASSIGN_OR_RETURN(*request.add_images(), client::ImageOf(image));
  }
  SetQuestion(arguments, request.images_size(), request);
  v1::VqaResult result;
  if (session.json()) {
    GWQ_ASSIGN_OR_RETURN(const v1::VqaResponse response,
                         client::VqaOnce(session.infer(), request, session.canceller()));
    PrintJson(response);
    result = response.result();
  } else {
    const bool stream = request.task_case() == v1::VqaRequest::TASK_NOT_SET;
    GWQ_ASSIGN_OR_RETURN(const v1::VqaChunk last,
                         client::Vqa(session.infer(), request, session.canceller(), [&](const v1::VqaChunk& chunk) {
                           if (!stream) return;
                           Print("{}", chunk.text());
                           session.FlushOutput();
                         }));
    PrintResult(session, last);
    result = last.result();
  }
  if (!arguments.draw.empty()) {
    const int image = request.boxes().image();
    GWQ_RETURN_IF_ERROR(DrawResult(result.boxes(), request.images(image).data(), arguments.draw));
  }
  return kExitOk;
}

void PrintAnswer(const client::VqaQuestion& question, const absl::StatusOr<v1::VqaResponse>& answer) {
  nlohmann::json line = {{"line", question.line}};
  if (!question.id.empty()) line["id"] = question.id;
  if (answer.ok()) {
    line["answer"] = nlohmann::json::parse(JsonText(*answer), nullptr, /*allow_exceptions=*/false);
  } else {
    line["error"] = ErrorJson(answer.status());
  }
  Print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

absl::StatusOr<ExitCode> RunBatch(Session& session, const Arguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const std::string lines, client::ReadInputFile(arguments.batch, kMaxBatchBytes));
  const std::string folder = std::filesystem::path(arguments.batch).parent_path().string();
  GWQ_ASSIGN_OR_RETURN(
      const std::vector<client::VqaQuestion> questions,
      client::ReadQuestions(
          lines, folder,
          {.request = CommonRequest(arguments), .choices = Scoring(arguments), .boxes = BoxesOf(arguments)}));
  int failed = 0;
  GWQ_RETURN_IF_ERROR(client::AskAll(session.infer(), questions, arguments.parallel, session.canceller(),
                                     session.terminal(), [&](const auto& question, const auto& answer) {
                                       PrintAnswer(question, answer);
                                       session.FlushOutput();
                                       failed += answer.ok() ? 0 : 1;
                                     }));
  session.terminal().Note(
      fmt::format("{} questions answered, {} failed", questions.size() - static_cast<size_t>(failed), failed));
  return failed == 0 ? kExitOk : kExitFailure;
}

absl::StatusOr<ExitCode> Run(Session& session, const Arguments& arguments) {
  GWQ_RETURN_IF_ERROR(CheckArguments(arguments));
  GWQ_RETURN_IF_ERROR(CheckTaskFlags(arguments));
  if (arguments.load) {
    GWQ_RETURN_IF_ERROR(client::EnsureLoaded(session.infer(), arguments.model, session.canceller()).status());
  }
  return arguments.batch.empty() ? RunOne(session, arguments) : RunBatch(session, arguments);
}

}  // namespace

void AddVqaCommand(CLI::App& app, Selected& selected) {
  CLI::App* command = app.add_subcommand("vqa", "ask about images");
  auto to = std::make_shared<Arguments>();
  command->add_option("model", to->model, "artifacts/NAME, models/NAME or NAME")->required();
  command->add_option("--image,-i", to->images, "JPEG, PNG or WebP file, or sha256:HEX; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--question,-m", to->question, "what to ask");
  command->add_option("--system", to->system, "a system message before it");
  command
      ->add_option("--choices", to->choices,
                   "closed set of answers, separated by commas; gives the probability of each")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--choice", to->choice, "one more choice, which may contain commas; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--normalize", to->normalize, "what each choice's log-likelihood is divided by")
      ->check(CLI::IsMember({"none", "tokens", "bytes"}))
      ->capture_default_str();
  command->add_flag("--with-end", to->with_end, "score the end of the answer as part of each choice");
  command->add_flag("--boxes", to->boxes, "read the answer as boxes, in pixels of the image");
  command->add_option("--box-image", to->box_image, "which of several images the boxes are in, from 0")
      ->check(NotEmpty);
  command->add_option("--draw", to->draw,
                      "write the image with its boxes and labels to this PNG file; implies --boxes");
  command->add_option("--batch", to->batch,
                      "file of questions, one per line: {\"image\": PATH, \"question\": TEXT, \"choices\": [...], "
                      "\"boxes\": true or false, \"id\": ...}; answers are lines of JSON in the same order");
  command->add_option("--parallel", to->parallel, "questions of a batch asked at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  AddSamplingFlags(*command, to->sampling);
  command->add_option("--abstain-below", to->abstain_below, "mark answers of less confidence than this as abstained")
      ->check(NotEmpty)
      ->check(CLI::Range(0.0, 1.0));
  command->add_flag("--load,!--no-load", to->load, "load the model first if it is not loaded (default)");
  command->callback([&selected, to] { selected.action = [to](Session& session) { return Run(session, *to); }; });
}

}  // namespace gwq::cli
