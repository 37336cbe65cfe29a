#include "server/infer/settings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/status.h"
#include "core/engine/request.h"
#include "core/engine/sampler.h"
#include "core/engine/scheduler.h"
#include "core/engine/stop_matcher.h"
#include "core/io/file_system.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"
#include "core/vision/image_processor.h"

namespace gwq {
namespace {

TEST(InferSettings, NamesAreSplitAtCommas) {
  EXPECT_EQ(SplitNames(""), std::vector<std::string>());
  EXPECT_EQ(SplitNames("a"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(SplitNames("models/a, artifacts/b,,"), (std::vector<std::string>{"models/a", "artifacts/b"}));
}

TEST(InferSettings, WhatDoesNotFitTogetherIsNamed) {
  const auto field = [](const InferSettings& settings) {
    const auto violations = FieldViolations(CheckInferSettings(settings));
    return violations.empty() ? std::string() : violations[0].field;
  };
  InferSettings settings;
  EXPECT_EQ(field(settings), "jobs");
  settings.jobs = "http://here:7411";
  EXPECT_EQ(field(settings), "jobs");
  settings.jobs = "127.0.0.1:1";
  EXPECT_EQ(field(settings), "");
  settings.isa = "mmx";
  EXPECT_EQ(field(settings), "isa");
  settings.isa = "scalar";
  EXPECT_EQ(field(settings), "");
  settings.max_running = 256;
  EXPECT_EQ(field(settings), "step-tokens");
}

std::string InferencePage() {
  const char* const source = std::getenv("GWQ_SOURCE_DIR");
  const std::string path = std::string(source == nullptr ? "." : source) + "/docs/inference.md";
  const auto page = ReadSmallFile(LocalFileSystem(), path, uint64_t{1} << 20);
  EXPECT_TRUE(page.ok()) << page.status();
  return page.value_or("");
}

TEST(InferLimits, ThePageNamesTheSettingsAndTheirDefaults) {
  InferSettings settings;
  Options options("test", "");
  AddInferSettings(options, settings);
  const ImageLimits image;
  const ProcessorLimits processor;
  const SchedulerOptions scheduler;
  const TokenizerLimits tokenizer;
  const std::string page = InferencePage();
  for (const std::string& line : {
           fmt::format("`--max-message-mib` ({})", settings.service.max_message_mib),
           fmt::format("`--cache-tokens` ({})", settings.cache_tokens),
           fmt::format("`--max-loaded-mib` ({}: no limit)", settings.max_loaded_mib),
           fmt::format("`--max-prompt-tokens` ({}: the context)", settings.max_prompt_tokens),
           fmt::format("a choice | {} MiB |", tokenizer.max_text_bytes >> 20),
           fmt::format("(RESOURCE_EXHAUSTED) | {} MiB |", TemplateLimits().max_output_bytes >> 20),
           fmt::format("`--max-images` ({})", settings.max_images),
           fmt::format("`--max-image-mib` ({})", settings.max_image_mib),
           fmt::format("{} pixels a side; {} MiB of patches | `--max-image-megapixels` ({})", image.max_side,
                       processor.max_patch_bytes >> 20, settings.max_image_megapixels),
           fmt::format("| ids of `Detokenize` | {} |", tokenizer.max_decode_ids),
           fmt::format("`--image-store-mib` ({})", settings.image_store_mib),
           fmt::format("`--image-memory-mib` ({})", settings.image_memory_mib),
           fmt::format("`--max-running` ({})", settings.max_running),
           fmt::format("`--max-queued` ({}); `--max-queued-images` ({}); `--max-queued-calls` ({})",
                       settings.max_queued, settings.max_queued_images, settings.service.max_queued_calls),
           fmt::format("| {}: the request is paused; RESOURCE_EXHAUSTED after a minute, or where {} others",
                       scheduler.max_unread_tokens, scheduler.max_paused),
       }) {
    EXPECT_NE(page.find(line), std::string::npos) << line;
  }
}

TEST(InferLimits, ThePageNamesWhatIsTakenOfAnAnswersFieldsAndNoMore) {
  const std::string page = InferencePage();
  EXPECT_NE(page.find("| `dialogue.messages` | 1 to 1000;"), std::string::npos);
  EXPECT_NE(page.find("| `stop` | 16 strings of 1 to 256 bytes |"), std::string::npos);
  EXPECT_TRUE(CheckStopStrings(std::vector<std::string>(16, std::string(256, 'a'))).ok());
  EXPECT_FALSE(CheckStopStrings(std::vector<std::string>(17, "a")).ok());
  EXPECT_FALSE(CheckStopStrings({std::string(257, 'a')}).ok());
  EXPECT_NE(page.find("| 0 to 100; 0 or more; above 0 to 1 |"), std::string::npos);
  EXPECT_TRUE(CheckSampling({.temperature = 100}).ok());
  EXPECT_FALSE(CheckSampling({.temperature = 100.5}).ok());
  const RequestLimits limits{.vocab_size = 8, .hidden_size = 1, .max_context_tokens = 64, .max_prompt_tokens = 63};
  GenerationRequest request;
  request.stop_ids.assign(256, 1);
  EXPECT_NE(page.find("| `stop_ids` | 256 ids,"), std::string::npos);
  EXPECT_TRUE(CheckAnswerFields(request, limits).ok());
  request.stop_ids.push_back(1);
  EXPECT_FALSE(CheckAnswerFields(request, limits).ok());
  request.choices.assign(1000, {1});
  EXPECT_NE(page.find("| `choices.texts` | 2 to 1000 different ones,"), std::string::npos);
  EXPECT_TRUE(CheckAnswerFields(request, limits).ok());
  request.choices.push_back({1});
  EXPECT_FALSE(CheckAnswerFields(request, limits).ok());
}

TEST(InferSettings, ATokenThatNoHeaderMayCarryIsRefusedAndNotTold) {
  InferSettings settings;
  settings.jobs = "127.0.0.1:1";
  settings.jobs_token = "0123456789abcdef\r";
  const auto violations = FieldViolations(CheckInferSettings(settings));
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "jobs-token");
  EXPECT_EQ(violations[0].description.find("0123456789"), std::string::npos) << violations[0].description;
  settings.jobs_token = "0123456789abcdef~!";
  EXPECT_TRUE(CheckInferSettings(settings).ok());
}

TEST(InferSettings, WhatIsLoadedAtStartBelongsToThePrincipalOfJobsToken) {
  InferSettings settings;
  settings.jobs_token = "alice-0123456789";
  const auto open = OwnerOfLoad(settings, Authenticator());
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(open->principal, kLocalPrincipal);
  EXPECT_EQ(open->authorization, "") << "the source has the token for callers without one";

  const Authenticator authenticator = *Authenticator::FromText("alice-0123456789 alice\nbob-0123456789ab bob\n");
  const auto alice = OwnerOfLoad(settings, authenticator);
  ASSERT_TRUE(alice.ok()) << alice.status();
  EXPECT_EQ(alice->principal, "alice");
  EXPECT_EQ(alice->authorization, "Bearer alice-0123456789");
  for (const char* const token : {"", "nobody-0123456789"}) {
    settings.jobs_token = token;
    const auto violations = FieldViolations(OwnerOfLoad(settings, authenticator).status());
    ASSERT_EQ(violations.size(), 1u) << token;
    EXPECT_EQ(violations[0].field, "load");
    EXPECT_NE(violations[0].description.find("jobs-token"), std::string::npos);
  }
}

}  // namespace
}  // namespace gwq
