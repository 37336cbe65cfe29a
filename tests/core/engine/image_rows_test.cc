// Image rows and positions on three axes through scheduler and cache.
#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/core/engine/scheduler_fixture.h"

namespace gwq {
namespace {

class ImageRowsTest : public SchedulerTest {
 protected:
  ImageRowsTest() {
    model.axes = 3;
    model.positions_are_indices = false;
  }
  // `before` tokens, `rows` image rows that differ by `image`, `after` tokens; axes differ inside the image.
  [[nodiscard]] GenerationRequest AskImage(uint32_t image, int before, int rows, int after, int64_t max_tokens) const {
    GenerationRequest request = Ask(Prompt(7, static_cast<size_t>(before)), max_tokens);
    std::vector<float> values;
    for (int i = 0; i < rows; ++i) {
      request.prompt.push_back(~i);
      for (int64_t j = 0; j < model.hidden_size(); ++j)
        values.push_back(static_cast<float>(image * 1000) + float(i + j));
    }
    request.images = std::make_shared<const std::vector<float>>(std::move(values));
    for (const int32_t token : Prompt(8, static_cast<size_t>(after))) request.prompt.push_back(token);
    const int side = std::max(1, rows / 2);
    for (int axis = 0; axis < 3; ++axis) {
      for (int i = 0; i < before; ++i) request.positions.positions.push_back(i);
      for (int i = 0; i < rows; ++i) {
        request.positions.positions.push_back(before + (axis == 0 ? 0 : axis == 1 ? i / side : i % side));
      }
      for (int i = 0; i < after; ++i) request.positions.positions.push_back(before + side + i);
    }
    request.positions.delta = side - rows;
    request.sampling = {.temperature = image % 2 == 0 ? 0.0 : 0.9, .seed = image};
    return request;
  }
};

TEST_F(ImageRowsTest, AnswersAreTheSameAloneAndAmongOthersWithPreemptions) {
  const auto request = [&](uint32_t i) {
    return i % 3 == 2 ? Ask(Prompt(i, 5 + 9 * i), 30) : AskImage(i, int(i), int(4 + 6 * i), int(1 + i), 20 + int(i));
  };
  std::vector<std::vector<int32_t>> alone;
  for (uint32_t i = 0; i < 8; ++i) alone.push_back(Alone(request(i)));
  std::mt19937 random(2);
  int64_t preemptions = 0;
  for (int round = 0; round < 60; ++round) {
    SchedulerOptions options;
    options.step_tokens = 1 + static_cast<int64_t>(random() % 40);
    options.prefill_tokens_beside_decodes = 1 + static_cast<int64_t>(random() % 20);
    options.max_running = 1 + static_cast<int>(random() % 8);
    Scheduler scheduler = Make(options);
    std::vector<Client> clients;
    for (uint32_t i = 0; i < 8; ++i) {
      clients.push_back(Add(scheduler, request(i)));
      for (size_t steps = random() % 12; steps > 0; --steps) (void)scheduler.Step();
    }
    RunToEnd(scheduler);
    for (size_t i = 0; i < 8; ++i) {
      ASSERT_TRUE(clients[i].sink->status().ok()) << clients[i].sink->status();
      ASSERT_EQ(clients[i].sink->tokens(), alone[i]) << "request " << i << " in round " << round;
    }
    preemptions += scheduler.stats().preemptions;
  }
  EXPECT_GT(preemptions, 0) << "the rounds were meant to run out of blocks now and then";
}

TEST_F(ImageRowsTest, TwoImagesWithTheSameQuestionGetTheirOwnAnswersInOneBatch) {
  const std::vector<int32_t> first = Alone(AskImage(2, 3, 8, 5, 12));
  const std::vector<int32_t> second = Alone(AskImage(4, 3, 8, 5, 12));
  ASSERT_NE(first, second);
  Scheduler scheduler = Make();
  const Client one = Add(scheduler, AskImage(2, 3, 8, 5, 12));
  const Client other = Add(scheduler, AskImage(4, 3, 8, 5, 12));
  RunToEnd(scheduler);
  EXPECT_EQ(one.sink->tokens(), first);
  EXPECT_EQ(other.sink->tokens(), second);
}

TEST_F(ImageRowsTest, ARowTakesItsOwnPositionsAndGeneratedTokensGoOnFromThem) {
  Scheduler scheduler = Make();
  std::vector<std::vector<int32_t>> seen(3);
  model.before_pass = [&](const Batch& batch) {
    ASSERT_EQ(batch.position_axes, 3);
    for (int axis = 0; axis < 3; ++axis) {
      const auto positions =
          batch.positions.subspan(static_cast<size_t>(axis * batch.rows), static_cast<size_t>(batch.rows));
      seen[static_cast<size_t>(axis)].insert(seen[static_cast<size_t>(axis)].end(), positions.begin(), positions.end());
    }
  };
  (void)Add(scheduler, AskImage(2, 2, 4, 1, 3));
  RunToEnd(scheduler);
  EXPECT_EQ(seen[0], (std::vector<int32_t>{0, 1, 2, 2, 2, 2, 4, 5, 6}));
  EXPECT_EQ(seen[1], (std::vector<int32_t>{0, 1, 2, 2, 3, 3, 4, 5, 6}));
  EXPECT_EQ(seen[2], (std::vector<int32_t>{0, 1, 2, 3, 2, 3, 4, 5, 6}));
}

TEST_F(ImageRowsTest, RowsOfAnImageComeInOrderHoweverThePromptIsCut) {
  SchedulerOptions options;
  options.step_tokens = 3;
  Scheduler scheduler = Make(options);
  GenerationRequest request = AskImage(3, 2, 7, 4, 2);
  const auto images = request.images;
  std::vector<float> seen;
  model.before_pass = [&](const Batch& batch) {
    seen.insert(seen.end(), batch.embeddings.begin(), batch.embeddings.end());
  };
  (void)Add(scheduler, std::move(request));
  RunToEnd(scheduler);
  EXPECT_EQ(seen, *images);
}

TEST_F(ImageRowsTest, TextOnAThreeAxisModelCountsOnEveryAxis) {
  model.positions_are_indices = true;
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Ask(Prompt(1, 9), 5));
  model.before_pass = [&](const Batch& batch) {
    for (int64_t row = 0; row < batch.rows; ++row) {
      for (int axis = 1; axis < 3; ++axis) {
        EXPECT_EQ(batch.positions[static_cast<size_t>(axis * batch.rows + row)],
                  batch.positions[static_cast<size_t>(row)]);
      }
    }
  };
  RunToEnd(scheduler);
  EXPECT_TRUE(client.sink->status().ok()) << client.sink->status();
}

}  // namespace
}  // namespace gwq
