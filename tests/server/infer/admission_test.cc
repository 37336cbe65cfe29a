// What a load may take: the limit of all models, the size of a cache, and a load that is broken off.
#include <gmock/gmock.h>

#include <random>

#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "tests/core/format/random_content.h"
#include "tests/server/infer/table_fixture.h"
#include "tests/support/status_matchers.h"

namespace gwq::testing {
namespace {

using ::testing::HasSubstr;

class AdmissionTest : public TableFixture {
 protected:
  // The tiny model with every matrix of its layers packed so.
  static Digest Packed(int bits, int64_t group_size, int64_t outliers = 0) {
    std::mt19937 random(1);
    const auto source = *StoredModel::Open(store(), tiny());
    ArtifactWriter writer(store(), *source);
    for (const TensorSpec& spec : source->model()->tensors()) {
      if (spec.kind != TensorKind::kLinear) {
        EXPECT_THAT(writer.Keep(spec.name), IsOk());
        continue;
      }
      const PackedShape shape = {
          .rows = spec.shape[0], .cols = spec.shape[1], .bits = bits, .group_size = group_size, .outliers = outliers};
      EXPECT_THAT(writer.AddPacked(spec.name, *EncodePacked(RandomContent(shape, random))), IsOk());
    }
    return *writer.FinishArtifact("{}", "{}");
  }
  // Bytes that a model takes in memory once it is loaded.
  uint64_t MemoryOf(const std::string& name) {
    Start();
    const auto loaded = Load(name);
    EXPECT_THAT(loaded, IsOk());
    return loaded.ok() ? (*loaded)->memory_bytes() : 0;
  }
  int64_t CacheTokens(const LoadOptions& options) {
    Start(options);
    const auto loaded = Load("tiny");
    EXPECT_THAT(loaded, IsOk());
    return loaded.ok() ? (*loaded)->engine().cache_tokens() : 0;
  }
};

// Codes of 3 and 2 bits in groups that their units would straddle take 4 bits in memory, and so more than they do in
// the store: the limit is for the memory.
TEST_F(AdmissionTest, TheLimitIsMetToTheByteHoweverAModelIsPacked) {
  Know("dense", tiny());
  Know("3bit-odd", Packed(3, 8, 40));
  Know("3bit", Packed(3, 32));
  Know("2bit-odd", Packed(2, 24));
  Know("8bit", Packed(8, 64, 7));
  for (const char* name : {"dense", "3bit-odd", "3bit", "2bit-odd", "8bit"}) {
    const uint64_t memory = MemoryOf(name);
    Start({}, memory - 1);
    source.releases = 0;
    const auto refused = Load(name);
    ASSERT_THAT(refused, HasCode(absl::StatusCode::kResourceExhausted)) << name;
    EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr(std::string("models/") + name + " needs 4."));
    EXPECT_EQ(source.releases, 1) << name << " is refused and held";
    EXPECT_TRUE(table->List(std::string(kLocalPrincipal)).empty()) << name;
    Start({}, memory);
    EXPECT_THAT(Load(name), IsOk()) << name;
  }
}

TEST_F(AdmissionTest, ARefusedModelLeavesRoomForASmallerOne) {
  Know("odd", Packed(3, 8));
  const uint64_t odd = MemoryOf("odd"), dense = MemoryOf("tiny");
  ASSERT_LT(odd, dense);
  Start({}, odd + dense - 1);
  ASSERT_THAT(Load("odd"), IsOk());
  EXPECT_THAT(Load("tiny"), HasCode(absl::StatusCode::kResourceExhausted));
  Know("twin", Packed(3, 8));
  EXPECT_THAT(Load("twin"), IsOk()) << "the refused one takes memory still";
}

TEST_F(AdmissionTest, ACacheOfSoManyBytesIsNeverLarger) {
  // A token takes 512 bytes: two blocks, two heads of 16 floats, keys and values. Whole blocks have 16.
  LoadOptions options;
  for (const auto& [bytes, tokens] : {std::pair{512 * 160, 160}, {512 * 160 + 511, 160}, {512 * 175, 160}, {1, 16}}) {
    options.cache_bytes = bytes;
    EXPECT_EQ(CacheTokens(options), tokens) << bytes;
  }
  options.cache_bytes = 0;
  options.cache_tokens = 161;
  EXPECT_EQ(CacheTokens(options), 176) << "a number of tokens fits in any case";
}

TEST_F(AdmissionTest, TheWholeCacheIsAskedForBeforeAnythingIsLoaded) {
  LoadOptions options;
  options.cache_tokens = 161;
  Start(options);
  uint64_t asked = 0;
  const auto refuse = [&](uint64_t bytes) {
    asked = bytes;
    return absl::ResourceExhaustedError("full");
  };
  int checks = 0;
  const auto count = [&] {
    ++checks;
    return absl::OkStatus();
  };
  EXPECT_THAT(loader->Load("alice", source.models["tiny"], 0, refuse, count),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(checks, 0) << "a stage was loaded";
  uint64_t weights = 0;
  const auto stored = *StoredModel::Open(store(), tiny());
  for (const TensorSpec& spec : stored->model()->tensors()) weights += stored->Find(spec.name)->size;
  EXPECT_EQ(asked, weights + 176 * 512);
}

TEST_F(AdmissionTest, ALoadEndsBetweenAnyTwoStagesAndLeavesNothing) {
  Start();
  int checks = 0;
  for (int end_at = 0;; ++end_at) {
    checks = source.releases = 0;
    const auto loaded = table->Load(
        {}, "tiny", 0, [&] { return checks++ == end_at ? absl::CancelledError("gone") : absl::OkStatus(); });
    if (loaded.ok()) break;
    ASSERT_THAT(loaded, HasCode(absl::StatusCode::kCancelled));
    EXPECT_EQ(source.releases, end_at == 0 ? 0 : 1) << "cancelled at " << end_at;
    EXPECT_TRUE(table->List(std::string(kLocalPrincipal)).empty());
  }
  EXPECT_EQ(checks, 1 + 4 + 1) << "before the load, before each of four stages and after them";
}

TEST_F(AdmissionTest, AContextAboveTheCacheIsCutAndMayBeAskedForAgain) {
  LoadOptions options;
  options.cache_tokens = 64;
  Start(options);
  const auto loaded = Load("tiny", 100);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ((*loaded)->engine().limits().max_context_tokens, 64);
  for (const int64_t context : {100, 64, 0, 5000}) {
    const auto again = Load("tiny", context);
    ASSERT_THAT(again, IsOk()) << context;
    EXPECT_EQ(*again, *loaded);
  }
  const auto smaller = Load("tiny", 63);
  EXPECT_THAT(smaller, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(MessageOf(smaller.status())), HasSubstr("a context of 64 tokens, not 63; unload it first"));
}

}  // namespace
}  // namespace gwq::testing
