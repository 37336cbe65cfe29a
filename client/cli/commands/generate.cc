// gwq generate MODEL
#include "client/library/generate.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/output.h"
#include "client/cli/sampling_flags.h"
#include "client/cli/table.h"

namespace gwq::cli {
namespace {

constexpr size_t kMaxPromptBytes = 4 << 20;

struct Arguments {
  std::string model;
  std::string prompt, message, system;
  std::vector<std::string> token_ids;  // lists that CheckIds has seen
  SamplingArguments sampling;
  bool load = true;
};

// Of "1,2,3", or nothing where a part of it is none.
std::optional<std::vector<int32_t>> IdsOf(const std::string& text) {
  std::vector<int32_t> ids;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    if (!absl::SimpleAtoi(part, &ids.emplace_back())) return std::nullopt;
  }
  return ids;
}

// CLI11's own lists leave out what stands empty between two commas.
std::string CheckIds(const std::string& text) {
  return IdsOf(text).has_value() ? "" : fmt::format("'{}' is not a list of token ids: give numbers, as 1,2,3", text);
}

absl::StatusOr<std::string> StandardInput() {
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  if (text.size() > kMaxPromptBytes) {
    return absl::InvalidArgumentError(
        fmt::format("standard input has {} bytes, the limit is {}", text.size(), kMaxPromptBytes));
  }
  return text;
}

absl::StatusOr<v1::GenerateRequest> RequestOf(const Arguments& arguments) {
  v1::GenerateRequest request;
  request.set_model(arguments.model);
  const int inputs = static_cast<int>(!arguments.prompt.empty()) + static_cast<int>(!arguments.message.empty()) +
                     static_cast<int>(!arguments.token_ids.empty());
  if (inputs != 1)
    return absl::InvalidArgumentError("give exactly one of --message, --prompt and --ids ('-' reads standard input)");
  if (!arguments.prompt.empty()) {
    request.set_prompt(arguments.prompt);
    if (arguments.prompt == "-") {
      GWQ_ASSIGN_OR_RETURN(*request.mutable_prompt(), StandardInput());
    }
  } else if (!arguments.message.empty()) {
    std::string content = arguments.message;
    if (content == "-") {
      GWQ_ASSIGN_OR_RETURN(content, StandardInput());
    }
    const auto add = [&](const std::string& role, const std::string& text) {
      v1::ChatMessage* message = request.mutable_chat()->add_messages();
      message->set_role(role);
      message->set_content(text);
    };
    if (!arguments.system.empty()) add("system", arguments.system);
    add("user", content);
  } else {
    for (const std::string& text : arguments.token_ids) {
      const std::vector<int32_t> ids = IdsOf(text).value_or(std::vector<int32_t>());
      request.mutable_tokens()->mutable_ids()->Add(ids.begin(), ids.end());
    }
  }
  SetSampling(arguments.sampling, request);
  return request;
}

absl::StatusOr<ExitCode> Run(Session& session, const Arguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const v1::GenerateRequest request, RequestOf(arguments));
  if (arguments.load)
    GWQ_RETURN_IF_ERROR(client::EnsureLoaded(session.infer(), arguments.model, session.canceller()).status());
  GWQ_ASSIGN_OR_RETURN(const v1::GenerateChunk last, client::Generate(session.infer(), request, session.canceller(),
                                                                      [&](const v1::GenerateChunk& chunk) {
                                                                        if (session.json()) {
                                                                          PrintJson(chunk);
                                                                        } else {
                                                                          Print("{}", chunk.text());
                                                                        }
                                                                        session.FlushOutput();
                                                                      }));
  if (!session.json()) {
    Print("\n");
    session.terminal().Note(fmt::format(
        "[{} prompt tokens at {:.1f} token/s, {} generated at {:.1f} token/s, ended by {}]",
        last.usage().prompt_tokens(), last.timings().prefill_tokens_per_second(), last.usage().generated_tokens(),
        last.timings().decode_tokens_per_second(), last.finish_reason() == v1::STOP ? "stop" : "length"));
  }
  return kExitOk;
}

}  // namespace

void AddGenerateCommand(CLI::App& app, Selected& selected) {
  CLI::App* command = app.add_subcommand("generate", "answer a message or continue a text, as a stream");
  auto to = std::make_shared<Arguments>();
  command->add_option("model", to->model, "artifacts/NAME, models/NAME or NAME")->required();
  command->add_option("--message,-m", to->message,
                      "a user's message, in the model's own chat template; - reads standard input");
  command->add_option("--system", to->system, "a system message before it");
  command->add_option("--prompt,-p", to->prompt, "a text to continue, without a template; - reads standard input");
  command->add_option("--ids", to->token_ids, "a prompt as token ids, separated by commas")
      ->check(CheckIds)
      ->allow_extra_args(false);
  AddSamplingFlags(*command, to->sampling);
  command->add_flag("--load,!--no-load", to->load, "load the model first if it is not loaded (default)");
  command->callback([&selected, to] { selected.action = [to](Session& session) { return Run(session, *to); }; });
}

}  // namespace gwq::cli
