// No template that a model brings ends the process or passes its limits.
#include "core/text/chat_template.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gwq::TemplateLimits limits{
      .max_source_bytes = 1 << 16, .max_output_bytes = 1 << 16, .max_work_bytes = 1 << 22, .max_steps = 20'000};
  const auto compiled = gwq::ChatTemplate::Compile(gwq::fuzz::Text(data, size), {.bos_token = "<s>"}, limits);
  if (!compiled.ok()) return 0;
  const gwq::ChatMessage messages[] = {{"system", "Be brief."}, {"user", "Hello {{ bos_token }}"}};
  const auto text = (*compiled)->Render(messages, {});
  gwq::fuzz::Require(!text.ok() || text->size() <= limits.max_output_bytes);
  return 0;
}
