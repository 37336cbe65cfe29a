// Choices as they are served against an evaluation's and against what the model writes.
#include <nlohmann/json.hpp>

#include "core/artifact/stored_dataset.h"
#include "core/evaluation/evaluation.h"
#include "tests/server/infer/vqa_requests.h"

namespace gwq::testing {
namespace {

class VqaChoicesTest : public InferFixture {
 protected:
  v1::ChoiceResult Asked(const std::vector<std::string>& files, const std::vector<std::string>& texts) {
    v1::VqaRequest request = Choose(files, "which?", texts);
    request.set_model("llava");
    v1::VqaResponse response;
    const grpc::Status status = VqaOnce(*stub, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.result().choices();
  }
};

// The log-likelihoods that an evaluation finds for the choices behind this context.
std::vector<double> Evaluated(BlobStore& store, const Digest& model, const std::string& context,
                              const std::vector<std::string>& texts) {
  const nlohmann::json line = {{"context", context}, {"choices", texts}, {"answer", 0}};
  Manifest manifest;
  manifest.kind = "dataset";
  const std::string bytes = line.dump();
  manifest.files.push_back({"q.jsonl", bytes.size(), PutBlob(store, std::as_bytes(std::span(bytes))).value()});
  EvaluationTask task;
  task.kind = EvaluationKind::kChoices;
  task.dataset = ImportDataset(store, manifest, NoProgress()).value().Hex();
  const auto result = RunEvaluation(store, model, std::nullopt, task, NoProgress());
  EXPECT_TRUE(result.ok()) << result.status();
  return nlohmann::json::parse(result->items_jsonl)["log_likelihoods"];
}

TEST_F(VqaChoicesTest, ServedAndEvaluatedChoicesHaveTheSameLogLikelihoods) {
  Start();
  ASSERT_TRUE(Load("llava").ok());
  const std::vector<std::string> texts = {"red", "a circle", "10", "1"};
  const v1::ChoiceResult served = Asked({}, texts);
  // What the model's template makes of the question behind the token that its tokenizer begins with; an evaluation
  // reads its context as it stands. Both write the blank before an answer.
  const std::vector<double> evaluated = Evaluated(store(), llava(), "<s>USER: which? ASSISTANT:", texts);
  ASSERT_EQ(served.choices_size(), 4);
  ASSERT_EQ(evaluated.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(served.choices(i).text(), texts[at]);
    EXPECT_EQ(served.choices(i).tokens(), std::ssize(texts[at]) + 1) << "a token a byte, the blank included";
    EXPECT_NEAR(served.choices(i).log_likelihood(), evaluated[at], 1e-9) << texts[at];
  }
}

TEST_F(VqaChoicesTest, BehindAnImageAChoiceBeginsAsTheTemplateWritesAnAnswer) {
  Start();
  ASSERT_TRUE(Load("llava").ok());
  const v1::ChoiceResult choices = Asked({StripedPng(24, 16, 1)}, {"red", " red"});
  ASSERT_EQ(choices.choices_size(), 2);
  EXPECT_EQ(choices.choices(0).tokens(), 4);
  EXPECT_EQ(choices.choices(1).tokens(), 4) << "it has its white space already";
  EXPECT_EQ(choices.choices(0).log_likelihood(), choices.choices(1).log_likelihood());
}

}  // namespace
}  // namespace gwq::testing
