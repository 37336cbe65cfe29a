// Bounds of an evaluation's memory: from manifests and shapes alone, at least what is taken.
#include "core/evaluation/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/artifact/writer.h"
#include "tests/core/format/random_content.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using testing::IsOk;

class EvaluationMemoryTest : public ::testing::Test {
 protected:
  // Every linear matrix in codes of `bits`, groups of 8, and one weight of `rarity` an outlier (0: none). `times` as
  // many rows as the model has: a plan looks at the shapes alone.
  PlannedShapes Shapes(int bits, int64_t rarity = 0, int64_t times = 1) {
    PlannedShapes shapes;
    for (const TensorSpec& spec : source_->model()->tensors()) {
      if (spec.kind != TensorKind::kLinear) continue;
      PackedShape& shape = shapes[spec.name];
      shape = {.rows = times * spec.shape[0], .cols = spec.shape[1], .bits = bits, .group_size = 8};
      if (rarity != 0) shape.outliers = shape.rows * shape.cols / rarity;
    }
    return shapes;
  }
  Digest ArtifactOf(const PlannedShapes& shapes) {
    ArtifactWriter writer(golden_.store(), *source_);
    std::mt19937 random(5);
    for (const TensorSpec& spec : source_->model()->tensors()) {
      const auto shape = shapes.find(spec.name);
      if (shape == shapes.end()) {
        EXPECT_THAT(writer.Keep(spec.name), IsOk());
      } else {
        const auto packed = EncodePacked(testing::RandomContent(shape->second, random)).value();
        EXPECT_THAT(writer.AddPacked(spec.name, packed), IsOk());
      }
    }
    return writer.FinishArtifact("{}", "{}").value();
  }
  uint64_t Of(const Digest& model, const EvaluationTask& task = {}, const PlannedShapes* planned = nullptr) {
    const auto bytes = EvaluationMemory(golden_.store(), model, std::nullopt, task, "task", planned);
    EXPECT_THAT(bytes, IsOk());
    return bytes.value_or(0);
  }
  static uint64_t LargestStored(const PlannedShapes& shapes) {
    uint64_t largest = 0;
    for (const auto& [name, shape] : shapes) largest = std::max(largest, LayoutOf(shape).total);
    return largest;
  }

  testing::StoredGolden golden_{"llama-tied-f16-v4"};
  const std::unique_ptr<const StoredModel> source_ = golden_.Open(golden_.digest());
};

TEST_F(EvaluationMemoryTest, OfAnArtifactToBeIsThatOfTheArtifact) {
  for (const int64_t rarity : {0, 2, 50}) {
    const PlannedShapes shapes = Shapes(3, rarity);
    EXPECT_EQ(Of(golden_.digest(), {}, &shapes), Of(ArtifactOf(shapes))) << rarity;
  }
}

// In groups of 8 the kernels hold codes of 2 and 3 bits in four, so that only the mapped bytes differ.
TEST_F(EvaluationMemoryTest, CountsCodesAsTheKernelsHoldThem) {
  const PlannedShapes two = Shapes(2, 0, 64), three = Shapes(3, 0, 64);
  EXPECT_EQ(Of(golden_.digest(), {}, &three) - Of(golden_.digest(), {}, &two),
            LargestStored(three) - LargestStored(two));
}

// Stored, an outlier takes 3 bytes beside its slot.
TEST_F(EvaluationMemoryTest, CountsOutliersAsTheKernelsHoldThem) {
  const PlannedShapes none = Shapes(4), half = Shapes(4, 2);
  const uint64_t mapped = LargestStored(half) - LargestStored(none);
  EXPECT_GE(Of(golden_.digest(), {}, &half) - Of(golden_.digest(), {}, &none), mapped / 3 * 9);
}

TEST_F(EvaluationMemoryTest, OfDecodeSpeedIsThatOfTheWholeArtifact) {
  const PlannedShapes shapes = Shapes(3), tall = Shapes(3, 0, 64);
  EXPECT_EQ(DecodeSpeedMemory(golden_.store(), golden_.digest(), &shapes).value(),
            DecodeSpeedMemory(golden_.store(), ArtifactOf(shapes)).value());
  uint64_t grown = 0;
  for (const auto& [name, shape] : tall) grown += LayoutOf(shape).total - LayoutOf(shapes.at(name)).total;
  EXPECT_GE(DecodeSpeedMemory(golden_.store(), golden_.digest(), &tall).value(),
            DecodeSpeedMemory(golden_.store(), golden_.digest(), &shapes).value() + grown);
}

TEST_F(EvaluationMemoryTest, HoldsTheBeginningOfATextThatIsEncoded) {
  EvaluationTask task;
  task.tokens = 100'000;
  task.text = "w1";
  const uint64_t little = Of(golden_.digest(), task);
  task.text = std::string(1 << 20, 'w');
  EXPECT_GE(Of(golden_.digest(), task) - little, uint64_t{60} << 20) << "60 bytes and more for each";
  task.tokens = 64;
  EXPECT_LT(Of(golden_.digest(), task), little) << "most of the text is not looked at";
}

}  // namespace
}  // namespace gwq
