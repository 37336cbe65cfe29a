// A config.json that is accepted has dimensions whose products do not overflow, and its tower lays out tiles within
// what it says.
#include "core/base/tensor_view.h"
#include "core/models/config.h"
#include "core/models/model.h"
#include "tests/fuzz/bytes.h"

namespace {

// The layout of two tiles: every number of a row is one of a row.
void CheckLayout(const gwq::VisionTower& tower) {
  const int64_t side = tower.config().position_side == 0 ? 2 * tower.config().merge : tower.config().position_side;
  if (side > 64) return;
  const gwq::PatchGrid tiles[] = {{side, side}, {side, side}};
  const auto layout = tower.Layout(tiles);
  if (!layout.ok()) return;
  gwq::fuzz::Require(static_cast<int>(layout->rows.size()) == tower.stages() + 1);
  gwq::fuzz::Require(layout->rows.back() == 2 * tower.ImageTokens(tiles[0]));
  for (const int32_t row : layout->entry) gwq::fuzz::Require(row >= -1 && row < layout->rows[0]);
  for (const int32_t row : layout->merge) gwq::fuzz::Require(row >= 0 && row < layout->rows[1]);
  for (const int32_t row : layout->exit) gwq::fuzz::Require(row >= 0 && row < layout->rows.back());
  gwq::fuzz::Require(layout->tile_ends.back() == layout->rows[1]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = gwq::ParseModelConfig(gwq::fuzz::Text(data, size));
  if (!config.ok()) return 0;
  gwq::fuzz::Require(config->hidden_size > 0 && config->vocab_size > 0 && config->intermediate_size > 0 &&
                     config->blocks > 0);
  gwq::fuzz::Require(config->vocab_size <= INT64_MAX / config->hidden_size / 8);
  if (!config->vision.has_value()) return 0;
  const auto model = gwq::CreateModel(*config);
  gwq::fuzz::Require(model.ok());
  for (const gwq::TensorSpec& spec : (*model)->tensors()) gwq::fuzz::Require(gwq::ElementCount(spec.shape).ok());
  CheckLayout(*(*model)->vision());
  return 0;
}
