#include <algorithm>
#include <cmath>
#include <future>

#include "server/infer/vqa_answer.h"
#include "server/infer/vqa_prompt.h"
#include "tests/core/engine/fake_sink.h"
#include "tests/server/infer/vqa_requests.h"

namespace gwq::testing {
namespace {

class VqaTest : public InferFixture {
 protected:
  std::vector<int32_t> Tokens(const v1::VqaRequest& request) {
    v1::VqaResponse response;
    const grpc::Status status = VqaOnce(*stub, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.token_ids().begin(), response.token_ids().end()};
  }

  const std::string first_ = StripedPng(24, 16, 1);
  const std::string second_ = StripedPng(24, 16, 2);
};

TEST_F(VqaTest, AStreamJoinedEqualsTheAnswerAtOnceAndClosesWithTheTypedResult) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const v1::VqaRequest request = AskAbout({first_}, "what?");
  const VqaStreamed streamed = StreamVqa(*stub, request);
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  v1::VqaResponse once;
  ASSERT_TRUE(VqaOnce(*stub, request, &once).ok());
  EXPECT_EQ(streamed.chunks, 13) << "12 tokens and the result";
  const v1::FreeText& text = streamed.last.result().free_text();
  EXPECT_EQ(text.answer(), streamed.text);
  EXPECT_EQ(once.result().free_text().answer(), streamed.text);
  EXPECT_EQ(streamed.token_ids, std::vector(once.token_ids().begin(), once.token_ids().end()));
  ASSERT_EQ(text.token_log_probabilities_size(), 12);
  double sum = 0;
  for (const double each : text.token_log_probabilities()) {
    EXPECT_LE(each, 0);
    sum += each;
  }
  EXPECT_NEAR(text.confidence(), std::exp(sum / 12), 1e-12);
  EXPECT_FALSE(text.abstained());
  // 24 x 16 in patches of 4, four of them a token: 3 x 2, between start, end and the words.
  EXPECT_EQ(once.usage().image_tokens(), 6);
  EXPECT_EQ(once.usage().prompt_tokens(), 6 + 26);
  EXPECT_EQ(once.usage().generated_tokens(), 12);
  EXPECT_GT(once.timings().image_encode_ms(), 0);
  ExpectIdle("seeing");
}

TEST_F(VqaTest, AnAnswerBelowTheThresholdIsMarkedAsAbstained) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest request = AskAbout({first_}, "what?");
  v1::VqaResponse response;
  ASSERT_TRUE(VqaOnce(*stub, request, &response).ok());
  const double confidence = response.result().free_text().confidence();
  request.set_abstain_below(confidence * 1.01);
  ASSERT_TRUE(VqaOnce(*stub, request, &response).ok());
  EXPECT_TRUE(response.result().free_text().abstained());
  request.set_abstain_below(confidence * 0.99);
  ASSERT_TRUE(VqaOnce(*stub, request, &response).ok());
  EXPECT_FALSE(response.result().free_text().abstained());
}

TEST_F(VqaTest, TwoImagesWithTheSameQuestionGetTheirOwnAnswersInOneBatch) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const std::vector<int32_t> first = Tokens(AskAbout({first_}, "same", 20));
  const std::vector<int32_t> second = Tokens(AskAbout({second_}, "same", 20));
  ASSERT_NE(first, second);
  std::vector<std::future<VqaStreamed>> together;
  for (int i = 0; i < 12; ++i) {
    together.push_back(std::async(std::launch::async, [&, i] {
      return StreamVqa(*stub, AskAbout({i % 2 == 0 ? first_ : second_}, "same", 20));
    }));
  }
  for (size_t i = 0; i < together.size(); ++i) {
    const VqaStreamed streamed = together[i].get();
    ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
    EXPECT_EQ(streamed.token_ids, i % 2 == 0 ? first : second);
  }
}

v1::VqaRequest Conversation(const std::vector<std::string>& files) {
  v1::VqaRequest request = AskAbout(files, "", 15);
  request.mutable_sampling()->set_temperature(1);
  request.mutable_sampling()->set_seed(5);
  const auto message = [&](const char* role) {
    auto* out = request.mutable_dialogue()->add_messages();
    out->set_role(role);
    return out;
  };
  message("system")->add_parts()->set_text("be brief");
  auto* user = message("user");
  user->add_parts()->set_text("here: ");
  user->add_parts()->set_image(0);
  user->add_parts()->set_text(" and ");
  user->add_parts()->set_image(1);
  user->add_parts()->set_text("!");
  message("assistant")->add_parts()->set_text("I see.");
  message("user")->add_parts()->set_text("which is larger?");
  return request;
}

TEST_F(VqaTest, TheSameConversationWithAnImageSwappedGetsItsOwnAnswer) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const std::string third = StripedPng(16, 40, 3);
  const std::vector<int32_t> original = Tokens(Conversation({first_, third}));
  const std::vector<int32_t> swapped = Tokens(Conversation({second_, third}));
  const std::vector<int32_t> turned = Tokens(Conversation({third, first_}));
  EXPECT_NE(original, swapped);
  EXPECT_NE(original, turned);
  EXPECT_EQ(Tokens(Conversation({first_, third})), original);
  EXPECT_EQ(Tokens(Conversation({second_, third})), swapped);
}

TEST_F(VqaTest, AnImageMayStandInSeveralPlaces) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest twice = Conversation({first_});
  twice.mutable_dialogue()->mutable_messages(1)->mutable_parts(3)->set_image(0);
  EXPECT_EQ(Tokens(twice), Tokens(Conversation({first_, first_})));
}

TEST_F(VqaTest, AQuestionIsAUsersMessageOfTheImagesAndTheText) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest dialogue = AskAbout({first_, second_}, "");
  auto* message = dialogue.mutable_dialogue()->add_messages();
  message->set_role("user");
  message->add_parts()->set_image(0);
  message->add_parts()->set_image(1);
  message->add_parts()->set_text("why?");
  EXPECT_EQ(Tokens(dialogue), Tokens(AskAbout({first_, second_}, "why?")));
}

// The definition of a choice's log-likelihood: a prompt of its own for each of its tokens, nothing shared.
double TeacherForced(ServedModel& model, const v1::VqaRequest& request, const std::vector<int32_t>& choice) {
  ImageStore store(0);
  ImageMemory memory(size_t{1} << 20);
  double sum = 0;
  for (size_t i = 0; i < choice.size(); ++i) {
    absl::StatusOr<VqaInput> input = ReadVqaRequest(model, request, "local", store, {});
    EXPECT_TRUE(input.ok()) << input.status();
    EXPECT_TRUE(MakeVqaPrompt(model, {}, memory, [] { return absl::OkStatus(); }, *input).ok());
    GenerationRequest& generation = input->generation;
    const auto rows = static_cast<int32_t>(generation.prompt.size());
    std::vector<int32_t> positions;
    for (int axis = 0; axis < 3; ++axis) {
      const auto begin = generation.positions.positions.begin() + axis * rows;
      positions.insert(positions.end(), begin, begin + rows);
      for (size_t j = 0; j < i; ++j) positions.push_back(rows + static_cast<int32_t>(j) + generation.positions.delta);
    }
    generation.positions.positions = std::move(positions);
    generation.prompt.insert(generation.prompt.end(), choice.begin(), choice.begin() + static_cast<std::ptrdiff_t>(i));
    generation.choices = {{choice[i]}};
    auto sink = std::make_shared<FakeSink>();
    EXPECT_TRUE(model.engine().Submit(std::move(generation), sink).ok());
    sink->WaitDone();
    EXPECT_TRUE(sink->status().ok()) << sink->status();
    sum += sink->result().choice_log_likelihoods[0];
  }
  return sum;
}

TEST_F(VqaTest, ChoicesSumToOneAndEqualTeacherForcing) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const auto model = *models->Find(kLocal, "seeing");
  for (const bool with_end : {false, true}) {
    v1::VqaRequest request = Choose({first_, second_}, "which?", {"red", "yes", "a blue square", "10", "1"});
    request.mutable_choices()->set_with_end(with_end);
    v1::VqaResponse response;
    const grpc::Status status = VqaOnce(*stub, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    const v1::ChoiceResult& choices = response.result().choices();
    ASSERT_EQ(choices.choices_size(), 5);
    double sum = 0;
    for (const v1::Choice& choice : choices.choices()) {
      std::vector<int32_t> ids = *model->text().tokenizer().Encode(choice.text(), false);
      if (with_end) ids.push_back(1);
      EXPECT_EQ(choice.tokens(), std::ssize(ids));
      EXPECT_NEAR(choice.log_likelihood(), TeacherForced(*model, request, ids), 1e-5) << choice.text();
      sum += choice.probability();
    }
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_EQ(choices.confidence(), choices.choices(choices.best()).probability());
    EXPECT_EQ(response.usage().generated_tokens(), 0);
  }
}

TEST_F(VqaTest, NormalisationDividesByTokensOrBytes) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest request = Choose({first_}, "which?", {"no", "a much longer answer"});
  const auto ratio = [&](v1::ChoiceNormalization normalization) {
    request.mutable_choices()->set_normalization(normalization);
    v1::VqaResponse response;
    EXPECT_TRUE(VqaOnce(*stub, request, &response).ok());
    const auto& choices = response.result().choices();
    const double lengths[2] = {normalization == v1::BY_NOTHING ? 1.0 : 2.0,
                               normalization == v1::BY_NOTHING ? 1.0 : 20.0};
    const double difference =
        choices.choices(0).log_likelihood() / lengths[0] - choices.choices(1).log_likelihood() / lengths[1];
    EXPECT_NEAR(std::log(choices.choices(0).probability() / choices.choices(1).probability()), difference, 1e-6);
    return choices.choices(0).probability();
  };
  EXPECT_GT(ratio(v1::BY_NOTHING), ratio(v1::BY_TOKENS));
  EXPECT_EQ(ratio(v1::BY_TOKENS), ratio(v1::BY_BYTES)) << "a token a byte";
}

// What the model would have to write: `text` token by token, then its end.
v1::BoxResult ReadAsBoxes(ServedModel& model, const std::string& text, const std::string& stop_match = "") {
  PreparedImage image = *model.vision()->processor().Plan(200, 100);
  VqaTask task;
  task.kind = VqaTask::Kind::kBoxes;
  task.box_image = 3;
  absl::StatusOr<VqaAnswer> answer = VqaAnswer::Create(model, task, &image);
  EXPECT_TRUE(answer.ok()) << answer.status();
  std::vector<int32_t> ids = *model.text().tokenizer().Encode(text, false);
  if (stop_match.empty()) ids.push_back(*model.text().eos_id());
  for (const int32_t id : ids) answer->Add({.text = "", .tokens = {id}, .log_probabilities = {-0.5}});
  GenerationResult result;
  result.reason = FinishReason::kStop;
  result.stop_match = stop_match;
  const absl::StatusOr<v1::VqaResult> typed = answer->Finish(result);
  EXPECT_TRUE(typed.ok()) << typed.status();
  return typed->boxes();
}

TEST_F(VqaTest, BoxesAreReadFromSpecialTokensInPixelsOfTheOriginalImage) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const auto model = *models->Find(kLocal, "seeing");
  const std::string cat = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,200),(500,700)<|box_end|>";
  const v1::BoxResult one = ReadAsBoxes(*model, "a " + cat + " and <|box_start|>(5,6),(4,3)<|box_end|>");
  ASSERT_EQ(one.boxes_size(), 1);
  EXPECT_EQ(one.boxes(0).label(), "cat");
  EXPECT_EQ(one.boxes(0).image(), 3);
  // A value stands for a thousandth of a side, and becomes its middle.
  EXPECT_NEAR(one.boxes(0).left(), 20.1, 1e-9);
  EXPECT_NEAR(one.boxes(0).top(), 20.05, 1e-9);
  EXPECT_NEAR(one.boxes(0).right(), 100.1, 1e-9);
  EXPECT_NEAR(one.boxes(0).bottom(), 70.05, 1e-9);
  ASSERT_EQ(one.malformed_size(), 1);
  EXPECT_NE(one.malformed(0).text().find("(5,6),(4,3)"), std::string::npos);
  EXPECT_NEAR(one.text().confidence(), std::exp(-0.5), 1e-12);
  EXPECT_EQ(ReadAsBoxes(*model, "nothing").boxes_size(), 0);
  const v1::BoxResult open = ReadAsBoxes(*model, "<|box_start|>(5,6)");
  ASSERT_EQ(open.malformed_size(), 1);
  EXPECT_EQ(open.malformed(0).text(), "<|box_start|>(5,6)") << "the end is no part of the answer";
  EXPECT_EQ(ReadAsBoxes(*model, "stop! " + cat, "stop!").boxes_size(), 0) << "what follows a stop string is cut";
}

TEST_F(VqaTest, BoxesOfACroppedImageAreInPixelsOfAllOfIt) {
  Start();
  ASSERT_TRUE(Load("llava").ok());
  // Of 200 x 100 pixels LLaVA's crop shows the square from 50 to 150.
  const v1::BoxResult boxes = ReadAsBoxes(**models->Find(kLocal, "llava"), "at [0.25, 0.5, 0.5, 0.75].");
  ASSERT_EQ(boxes.boxes_size(), 1);
  EXPECT_NEAR(boxes.boxes(0).left(), 75, 1e-9);
  EXPECT_NEAR(boxes.boxes(0).top(), 50, 1e-9);
  EXPECT_NEAR(boxes.boxes(0).right(), 100, 1e-9);
  EXPECT_NEAR(boxes.boxes(0).bottom(), 75, 1e-9);
}

TEST_F(VqaTest, ATextModelAnswersWithoutImagesAndAVisionModelStillGenerates) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest plain = AskAbout({}, "hello?");
  plain.set_model("tiny");
  EXPECT_EQ(Tokens(plain).size(), 12u);
  v1::VqaRequest choices = Choose({}, "hello?", {"yes", "no"});
  choices.set_model("tiny");
  v1::VqaResponse response;
  EXPECT_TRUE(VqaOnce(*stub, choices, &response).ok());
  EXPECT_EQ(Tokens(AskAbout({}, "hello?")).size(), 12u);
  EXPECT_TRUE(ReadStream(*stub, Prompt("seeing", "hello", 9)).status.ok());
  v1::GenerateRequest chat = Prompt("seeing", "", 9);
  auto* message = chat.mutable_chat()->add_messages();
  message->set_role("user");
  message->set_content("hello?");
  const Streamed streamed = ReadStream(*stub, chat);
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  const std::vector<int32_t> generated(streamed.answer.token_ids().begin(), streamed.answer.token_ids().end());
  EXPECT_EQ(generated, Tokens(AskAbout({}, "hello?", 9)));
  EXPECT_TRUE(Describe("models/seeing").takes_images());
  EXPECT_FALSE(Describe("models/tiny").takes_images());
}

TEST_F(VqaTest, AnUploadedImageAnswersByItsDigestForItsPrincipalAlone) {
  Setup setup;
  setup.tokens = "token-of-alice-1 alice\ntoken-of-bob-001 bob\n";
  Start(setup);
  const auto context = [](grpc::ClientContext& call, const char* token) {
    call.AddMetadata("authorization", std::string("Bearer ") + token);
  };
  for (const char* const token : {"token-of-alice-1", "token-of-bob-001"}) {
    grpc::ClientContext call;
    context(call, token);
    v1::LoadModelRequest request;
    request.set_name("seeing");
    v1::LoadedModel loaded;
    ASSERT_TRUE(stub->LoadModel(&call, request, &loaded).ok());
  }
  v1::UploadedImage uploaded;
  {
    grpc::ClientContext call;
    context(call, "token-of-alice-1");
    v1::UploadImageRequest request;
    request.set_data(first_);
    ASSERT_TRUE(stub->UploadImage(&call, request, &uploaded).ok());
  }
  EXPECT_EQ(uploaded.width(), 24);
  EXPECT_EQ(uploaded.height(), 16);
  v1::VqaRequest by_digest = AskAbout({}, "what?");
  by_digest.add_images()->set_sha256(uploaded.sha256());
  const auto ask = [&](const v1::VqaRequest& request, const char* token, v1::VqaResponse* response) {
    grpc::ClientContext call;
    context(call, token);
    return stub->VqaOnce(&call, request, response);
  };
  v1::VqaResponse named, sent;
  ASSERT_TRUE(ask(by_digest, "token-of-alice-1", &named).ok());
  ASSERT_TRUE(ask(AskAbout({first_}, "what?"), "token-of-alice-1", &sent).ok());
  EXPECT_EQ(named.result().free_text().answer(), sent.result().free_text().answer());
  const grpc::Status foreign = ask(by_digest, "token-of-bob-001", &named);
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(foreign.error_message().find("images[0]"), std::string::npos) << foreign.error_message();
}

TEST_F(VqaTest, ACancelAndADeadlineEndTheCallWhileImagesEncodeOrWait) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  backend->Close();
  grpc::ClientContext encoding;
  // Long answers: a cancel that reaches the service late still finds them under way.
  const auto reader = stub->Vqa(&encoding, AskAbout({first_}, "what?", 3000));
  backend->WaitHeld();  // in the tower's pass, on the only thread for images
  grpc::ClientContext waiting;
  waiting.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  v1::VqaResponse response;
  EXPECT_EQ(stub->VqaOnce(&waiting, AskAbout({second_}, "what?", 3000), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  encoding.TryCancel();
  v1::VqaChunk chunk;
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  backend->Open();
  ASSERT_TRUE(VqaOnce(*stub, AskAbout({first_}, "what?"), &response).ok());
  ExpectIdle("seeing");
  EXPECT_LT(Stats("seeing").generated_tokens, 3000) << "neither of the calls that ended was answered to its end";
}

TEST_F(VqaTest, ImagesEncodeApartFromTheEnginesThread) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  ASSERT_TRUE(Load("tiny").ok());
  backend->Close();
  auto seeing = std::async(std::launch::async, [&] { return StreamVqa(*stub, AskAbout({first_}, "what?")); });
  backend->WaitHeld();
  // The engine answers what needs no pass while the tower's pass is held.
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::GenerateRequest malformed = Prompt("seeing", "x", 0);
  v1::GenerateResponse response;
  EXPECT_EQ(stub->GenerateOnce(&call, malformed, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Describe("models/seeing").running_requests(), 0);
  backend->Open();
  EXPECT_TRUE(seeing.get().status.ok());
}

PreparedImage Prepared(const ServedVision& vision, const std::string& file) {
  return vision.processor().Prepare(DecodeImage(std::as_bytes(std::span(file))).value()).value();
}

// One image is one tile of four stages: patches, two blocks, the merger.
TEST_F(VqaTest, EncodingStopsBeforeTheNextStageOfTheTower) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const auto model = *models->Find(kLocal, "seeing");
  const PreparedImage image = Prepared(*model->vision(), first_);
  ASSERT_EQ(image.tiles.size(), 1u);
  std::vector<float> rows(static_cast<size_t>(image.image_tokens) * 64);
  for (int end_at = 0; end_at < 4; ++end_at) {
    const int before = backend->tower_passes();
    int checks = 0;
    const absl::Status status = model->vision()->Encode(
        image, [&] { return checks++ == end_at ? absl::CancelledError("gone") : absl::OkStatus(); }, rows);
    EXPECT_TRUE(absl::IsCancelled(status)) << end_at << ": " << status;
    EXPECT_EQ(backend->tower_passes() - before, end_at);
  }
}

TEST_F(VqaTest, ATextIsGeneratedBetweenTwoStagesOfTheTower) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  const auto model = *models->Find(kLocal, "seeing");
  const PreparedImage image = Prepared(*model->vision(), first_);
  std::vector<float> rows(static_cast<size_t>(image.image_tokens) * 64), alone(rows);
  ASSERT_TRUE(model->vision()->Encode(image, [] { return absl::OkStatus(); }, alone).ok());
  const int before = backend->tower_passes();
  std::vector<int> answered_after;  // stages
  const absl::Status status = model->vision()->Encode(
      image,
      [&] {
        auto sink = std::make_shared<FakeSink>();
        EXPECT_TRUE(model->engine().Submit(Ask({20, 21, 22}, 3), sink).ok());
        sink->WaitDone();
        EXPECT_TRUE(sink->status().ok()) << sink->status();
        answered_after.push_back(backend->tower_passes() - before);
        return absl::OkStatus();
      },
      rows);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(answered_after, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(rows, alone) << "what runs between stages changes no bit";
}

TEST_F(VqaTest, AFullQueueOfImagesAnswersResourceExhaustedWithARetryDelay) {
  Setup setup;
  setup.max_queued_images = 1;
  Start(setup);
  ASSERT_TRUE(Load("seeing").ok());
  backend->Close();
  std::vector<std::future<VqaStreamed>> calls;
  calls.push_back(std::async(std::launch::async, [&] { return StreamVqa(*stub, AskAbout({first_}, "a")); }));
  backend->WaitHeld();
  for (int i = 0; i < 3; ++i) {
    calls.push_back(std::async(std::launch::async, [&] { return StreamVqa(*stub, AskAbout({first_}, "a")); }));
  }
  // One waits; the other two are refused while the gate is closed.
  const auto ended = [&] {
    return std::ranges::count_if(calls, [](const auto& call) {
      return call.wait_for(std::chrono::milliseconds(1)) == std::future_status::ready;
    });
  };
  while (ended() < 2) {
  }
  backend->Open();
  int refused = 0;
  for (auto& call : calls) {
    const VqaStreamed streamed = call.get();
    if (streamed.status.ok()) continue;
    ++refused;
    EXPECT_EQ(streamed.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_GT(RetryMillis(streamed.status), 0);
  }
  EXPECT_EQ(refused, 2);
}

TEST_F(VqaTest, RowsOfImagesAreBoundedOverAllRequestsAndGivenBack) {
  Setup setup;
  setup.image_memory_bytes = 6 * 64 * sizeof(float);  // of one image
  Start(setup);
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaResponse response;
  const grpc::Status both = VqaOnce(*stub, AskAbout({first_, second_}, "what?"), &response);
  EXPECT_EQ(both.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(RetryMillis(both), -1) << "it could never be had";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(VqaOnce(*stub, AskAbout({first_}, "what?"), &response).ok());
  const auto held = image_memory->Floats(1);
  const grpc::Status busy = VqaOnce(*stub, AskAbout({first_}, "what?"), &response);
  EXPECT_EQ(busy.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_GT(RetryMillis(busy), 0);
}

TEST_F(VqaTest, MetricsTellOfImages) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  ASSERT_TRUE(StreamVqa(*stub, AskAbout({first_, second_}, "what?")).status.ok());
  EXPECT_FALSE(StreamVqa(*stub, AskAbout({"no image"}, "what?")).status.ok());
  ExpectIdle("seeing");
  const std::string text = metrics->Text();
  for (const char* line : {"gwq_infer_images_total{code=\"OK\",model=\"models/seeing\"} 2",
                           "gwq_infer_images_total{code=\"INVALID_ARGUMENT\",model=\"models/seeing\"} 1",
                           "gwq_infer_image_tokens_total{model=\"models/seeing\"} 12",
                           "gwq_infer_image_encode_seconds_count{model=\"models/seeing\"} 1"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST_F(VqaTest, AModelWithoutItsProcessorFileIsRefusedWhenLoaded) {
  Start();
  const grpc::Status status = Load("blind");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("preprocessor_config.json"), std::string::npos) << status.error_message();
}

}  // namespace
}  // namespace gwq::testing
