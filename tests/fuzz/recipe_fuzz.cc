// A recipe that is accepted is valid, and its canonical form reads back as the same recipe.
#include "core/spec/recipe.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto recipe = gwq::ParseRecipe(gwq::fuzz::Text(data, size));
  if (!recipe.ok()) return 0;
  gwq::fuzz::Require(gwq::CheckRecipe(*recipe).ok());
  const auto again = gwq::ParseRecipe(gwq::RecipeJson(*recipe));
  gwq::fuzz::Require(again.ok() && *again == *recipe);
  return 0;
}
