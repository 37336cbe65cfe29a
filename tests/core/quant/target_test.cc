#include "core/quant/budget/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"
#include "core/quant/budget/choices.h"
#include "core/quant/quantizers.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::IsOk;

PlannedModule Open(const std::string& tensor, int64_t rows, Method method = Method::kRtn) {
  PlannedModule module;
  module.tensor = tensor;
  module.method = method;
  MatrixRequest request;
  request.shape.rows = rows;
  request.shape.cols = 256;
  module.choices = *ChoicesFor(*FindQuantizer(method), request, true);
  module.packed = module.choices.back().packed;
  module.stored_bytes = module.choices.back().stored_bytes;
  module.weights = static_cast<uint64_t>(rows) * 256;
  return module;
}

// Two blocks, and an embedding of 1000 bytes.
Plan TwoBlocks() {
  Plan plan;
  for (const char* const block : {"model.layers.0.", "model.layers.1."}) {
    for (const char* const name : {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
                                   "self_attn.o_proj.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight"}) {
      plan.modules.push_back(Open(std::string(block) + name, 64));
    }
  }
  for (const PlannedModule& module : plan.modules) plan.quantized_weights += module.weights;
  PlannedModule embedding;
  embedding.tensor = "model.embed_tokens.weight";
  embedding.kind = TensorKind::kEmbedding;
  embedding.stored_bytes = 1000;
  plan.modules.push_back(embedding);
  plan.total_weights = plan.quantized_weights + 500;
  return plan;
}

// Each form loses a quarter of the one before it; of each module another amount.
FormLosses Losses(const Plan& plan) {
  FormLosses losses;
  double height = 1;
  for (const PlannedModule& module : plan.modules) {
    if (!module.is_open()) continue;
    std::vector<double>& own = losses[module.tensor];
    for (size_t i = 0; i < module.choices.size(); ++i) own.push_back(i == 0 ? height : own.back() / 4);
    height *= 3;
  }
  return losses;
}

TEST(Target, OfBitsIsMetFromBelow) {
  for (const double bits : {2.5, 3.25, 3.5, 4.0}) {
    Recipe recipe;
    recipe.target.bits = bits;
    Plan plan = TwoBlocks();
    ASSERT_THAT(TakeTarget(recipe, plan), IsOk());
    EXPECT_LE(plan.matrix_bits_per_weight, bits) << "a bound before the division";
    EXPECT_NEAR(plan.matrix_bits_per_weight, bits, 1e-3);
    DivideTarget(recipe, Losses(plan), plan);
    EXPECT_FALSE(HasOpenModules(plan));
    EXPECT_LE(plan.matrix_bits_per_weight, bits);
    EXPECT_GT(plan.matrix_bits_per_weight, bits * 0.97) << "twelve matrices are coarse";
  }
}

TEST(Target, OfBytesCountsEveryTensor) {
  Recipe recipe;
  recipe.target.bytes = 100'000;
  Plan plan = TwoBlocks();
  ASSERT_THAT(TakeTarget(recipe, plan), IsOk());
  EXPECT_EQ(plan.total_bytes, 100'000U);
  DivideTarget(recipe, Losses(plan), plan);
  uint64_t bytes = 0;
  for (const PlannedModule& module : plan.modules) bytes += module.stored_bytes;
  EXPECT_EQ(plan.total_bytes, bytes);
  EXPECT_LE(bytes, 100'000U);
}

TEST(Target, GivesMoreBitsToWhatLosesMore) {
  Recipe recipe;
  recipe.target.bits = 3.5;
  Plan plan = TwoBlocks();
  ASSERT_THAT(TakeTarget(recipe, plan), IsOk());
  DivideTarget(recipe, Losses(plan), plan);
  for (size_t i = 1; i < 12; ++i) EXPECT_GE(plan.modules[i].packed.bits, plan.modules[i - 1].packed.bits);
  EXPECT_GT(plan.modules[11].packed.bits, plan.modules[0].packed.bits);
}

TEST(Target, TiesWhatFusedKernelsJoin) {
  Recipe recipe;
  recipe.target.bits = 3.5;
  recipe.target.tie_fused = true;
  Plan plan = TwoBlocks();
  ASSERT_THAT(TakeTarget(recipe, plan), IsOk());
  DivideTarget(recipe, Losses(plan), plan);
  EXPECT_LE(plan.matrix_bits_per_weight, 3.5);
  for (const size_t block : {size_t{0}, size_t{6}}) {
    EXPECT_EQ(plan.modules[block].packed, plan.modules[block + 1].packed);
    EXPECT_EQ(plan.modules[block].packed, plan.modules[block + 2].packed);
    EXPECT_EQ(plan.modules[block + 4].packed, plan.modules[block + 5].packed);
  }
}

// Outliers of the first matrix save nine tenths of what rounding it costs, those of the second nothing.
TEST(Target, GivesOutliersToWhatTheyHelp) {
  Plan plan;
  plan.modules = {Open("a.weight", 64, Method::kTuned), Open("b.weight", 64, Method::kTuned)};
  FormLosses losses;
  for (const PlannedModule& module : plan.modules) {
    plan.quantized_weights += module.weights;
    for (const ModuleChoice& choice : module.choices) {
      const bool helped = module.tensor == "a.weight" && choice.packed.outliers > 0;
      losses[module.tensor].push_back((helped ? 0.1 : 1.0) / (1 << (2 * choice.packed.bits)));
    }
  }
  Recipe recipe;
  recipe.target.bits = 3.6;
  ASSERT_THAT(TakeTarget(recipe, plan), IsOk());
  DivideTarget(recipe, losses, plan);
  EXPECT_GT(plan.modules[0].packed.outliers, 0);
  EXPECT_EQ(plan.modules[1].packed.outliers, 0);
  EXPECT_LE(plan.matrix_bits_per_weight, 3.6);
  EXPECT_GT(plan.rounding_loss, 0);
}

TEST(Target, OfOutliersIsRefusedWhereNoneCanBeChosen) {
  Recipe recipe;
  recipe.target.bits = 3.5;
  recipe.target.outliers = true;
  Plan plan = TwoBlocks();
  EXPECT_THAT(TakeTarget(recipe, plan), FailsAt("recipe.target.outliers"));
}

TEST(Target, OutOfReachTellsWhatCanBeReached) {
  const auto take = [](double bits, int64_t bytes) {
    Recipe recipe;
    recipe.target.bits = bits;
    recipe.target.bytes = bytes;
    Plan plan = TwoBlocks();
    return TakeTarget(recipe, plan);
  };
  EXPECT_THAT(take(2.0, 0), FailsAt("recipe.target.bits"));
  EXPECT_THAT(take(2.0, 0).message(), ::testing::HasSubstr("the smallest forms take 2."));
  EXPECT_THAT(take(12.0, 0), FailsAt("recipe.target.bits"));
  EXPECT_THAT(take(0, 100), FailsAt("recipe.target.bytes"));
  EXPECT_THAT(take(0, 1'000'000'000), FailsAt("recipe.target.bytes"));
  Plan none;
  Recipe recipe;
  recipe.target.bits = 3;
  EXPECT_THAT(TakeTarget(recipe, none), FailsAt("recipe.target.bits"));
}

}  // namespace
}  // namespace gwq
