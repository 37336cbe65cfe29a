// What an artifact's writer takes and refuses.
#include "core/artifact/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";

class ArtifactWriterTest : public ::testing::Test {
 protected:
  void Refuses(const absl::Status& status, const std::string& why) {
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(why));
  }
  // As many zeros as the family's tensor has elements, and `more`.
  std::vector<std::byte> Zeros(int64_t more = 0) {
    for (const TensorSpec& spec : source_->model()->tensors()) {
      if (spec.name != kMatrix) continue;
      return std::vector<std::byte>(static_cast<size_t>(2 * (spec.shape[0] * spec.shape[1] + more)));
    }
    return {};
  }

  testing::StoredGolden golden_{"llama-tied-f16-v4"};
  const std::unique_ptr<const StoredModel> source_ = golden_.Open(golden_.digest());
  ArtifactWriter writer_{golden_.store(), *source_};
};

TEST_F(ArtifactWriterTest, TensorsOfTheFamilyAloneAreTaken) {
  const auto zeros = Zeros();
  const Digest blob = PutBlob(golden_.store(), zeros).value();
  Refuses(writer_.AddDense("model.other.weight", DType::kF16, zeros), "has no tensor model.other.weight");
  Refuses(writer_.AddDenseBlob("model.other.weight", DType::kF16, blob), "has no tensor model.other.weight");
  Refuses(writer_.Keep("model.other.weight"), "has no tensor model.other.weight");
}

TEST_F(ArtifactWriterTest, ATensorHasTheBytesOfItsShape) {
  const Digest blob = PutBlob(golden_.store(), Zeros(1)).value();
  Refuses(writer_.AddDense(kMatrix, DType::kF16, Zeros(1)), "bytes are no F16");
  Refuses(writer_.AddDenseBlob(kMatrix, DType::kF16, blob), "bytes are no F16");
  EXPECT_THAT(writer_.AddDense(kMatrix, DType::kF16, Zeros()), IsOk());
}

TEST_F(ArtifactWriterTest, EachTensorIsAddedOnce) {
  EXPECT_THAT(writer_.Keep(kMatrix), IsOk());
  Refuses(writer_.AddDense(kMatrix, DType::kF16, Zeros()), "was added twice");
  EXPECT_THAT(writer_.FinishModel(), HasCode(absl::StatusCode::kFailedPrecondition)) << "others are missing";
}

}  // namespace
}  // namespace gwq
