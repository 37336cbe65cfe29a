// Lines that are accepted hold what their checks promise: an answer is one of the choices, a box has an area.
#include "core/spec/dataset.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gwq::DatasetLimits limits{.max_bytes = 1 << 16, .max_line_bytes = 4096, .max_lines = 64};
  const auto items = gwq::ParseDataset(gwq::fuzz::Text(data, size), limits);
  if (!items.ok()) return 0;
  gwq::fuzz::Require(!items->empty() && items->size() <= limits.max_lines);
  for (const gwq::DatasetItem& item : *items) {
    gwq::fuzz::Require(item.answer < static_cast<int64_t>(item.choices.size()));
    gwq::fuzz::Require(item.choices.size() <= limits.max_choices && item.images.size() <= limits.max_images);
    if (item.box) gwq::fuzz::Require(item.box->left < item.box->right && item.box->top < item.box->bottom);
    gwq::fuzz::Require(item.messages.size() <= limits.max_messages && item.token_ids.size() <= limits.max_token_ids);
    if (!item.calibration_key().empty()) {
      gwq::fuzz::Require(item.context.empty() && item.images.empty() && item.choices.empty() && !item.box);
      gwq::fuzz::Require(!gwq::CheckItem(item, gwq::EvaluationKind::kVqa).ok());
    }
    for (const int32_t id : item.token_ids) gwq::fuzz::Require(id >= 0);
    if (gwq::CheckItem(item, gwq::EvaluationKind::kChoices).ok()) gwq::fuzz::Require(item.answer >= 0);
    if (gwq::CheckItem(item, gwq::EvaluationKind::kGrounding).ok()) gwq::fuzz::Require(item.box.has_value());
  }
  return 0;
}
