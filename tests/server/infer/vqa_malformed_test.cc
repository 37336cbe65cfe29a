// Requests about images that must be refused: the code, the field, and nothing left behind.
#include <fmt/format.h>

#include <functional>

#include "tests/server/infer/vqa_requests.h"

namespace gwq::testing {
namespace {

using VqaMalformedTest = InferFixture;

struct Case {
  const char* name;
  std::function<void(v1::VqaRequest&)> spoil;
  grpc::StatusCode code;
  const char* field;
};

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;

std::string Cut(std::string file, size_t size) {
  file.resize(size);
  return file;
}

// As a PNG's header claims it, without any pixels.
std::string HugePng() {
  std::string file = StripedPng(8, 8, 1);
  for (size_t i : {16, 20}) file.replace(i, 4, std::string("\x00\x00\x27\x10", 4));  // 10,000 a side
  return file;
}

void Converse(v1::VqaRequest& request, const std::function<void(v1::DialogueMessage&)>& spoil) {
  auto* message = request.mutable_dialogue()->add_messages();
  message->set_role("user");
  spoil(*message);
}

void SetChoices(v1::VqaRequest& request, const std::vector<std::string>& texts) {
  request.clear_max_tokens();
  request.clear_ignore_eos();
  for (const std::string& text : texts) request.mutable_choices()->add_texts(text);
}

std::vector<Case> ImageCases() {
  return {
      {"an image without a source", [](auto& r) { r.mutable_images(0)->clear_data(); }, kInvalid, "images[0]"},
      {"an empty image", [](auto& r) { r.mutable_images(0)->set_data(std::string()); }, kInvalid, "images[0]"},
      {"text for an image", [](auto& r) { r.mutable_images(0)->set_data(std::string("GIF89a, or so")); }, kInvalid,
       "images[0]"},
      {"an image cut in its header", [](auto& r) { r.mutable_images(0)->set_data(Cut(StripedPng(24, 16, 1), 20)); },
       kInvalid, "images[0]"},
      {"an image cut in its pixels", [](auto& r) { r.mutable_images(0)->set_data(Cut(StripedPng(24, 16, 1), 200)); },
       kInvalid, "images[0]"},
      {"the second image is broken", [](auto& r) { r.add_images()->set_data(Cut(StripedPng(24, 16, 1), 200)); },
       kInvalid, "images[1]"},
      {"an image above the byte limit", [](auto& r) { r.mutable_images(0)->set_data(std::string(70'000, 'x')); },
       kInvalid, "images[0]"},
      {"an image above the pixel limit", [](auto& r) { r.mutable_images(0)->set_data(HugePng()); }, kInvalid,
       "images[0]"},
      {"an image of one long line", [](auto& r) { r.mutable_images(0)->set_data(StripedPng(2000, 1, 1)); }, kInvalid,
       "images[0]"},
      {"more images than allowed",
       [](auto& r) {
         for (int i = 0; i < 4; ++i) r.add_images()->set_data(StripedPng(8, 8, i));
       },
       kInvalid, "images"},
      {"a malformed digest", [](auto& r) { r.mutable_images(0)->set_sha256(std::string("abc")); }, kInvalid,
       "images[0].sha256"},
      {"an unknown digest", [](auto& r) { r.mutable_images(0)->set_sha256(std::string(64, '0')); },
       grpc::StatusCode::NOT_FOUND, ""},
      {"images for a text model", [](auto& r) { r.set_model(std::string("tiny")); },
       grpc::StatusCode::FAILED_PRECONDITION, ""},
      {"images above the context",
       [](auto& r) {
         r.mutable_images(0)->set_data(StripedPng(64, 64, 3));
         for (int i = 0; i < 3; ++i) r.add_images()->set_data(StripedPng(64, 64, i));
       },
       kInvalid, "question"},
  };
}

std::vector<Case> InputCases() {
  return {
      {"no model", [](auto& r) { r.clear_model(); }, kInvalid, "model"},
      {"unknown model", [](auto& r) { r.set_model(std::string("models/none")); }, grpc::StatusCode::NOT_FOUND, ""},
      {"no input", [](auto& r) { r.clear_input(); }, kInvalid, "input"},
      {"neither question nor image",
       [](auto& r) {
         r.set_question(std::string());
         r.clear_images();
       },
       kInvalid, "question"},
      {"a question above the context", [](auto& r) { r.set_question(std::string(5000, 'x')); }, kInvalid, "question"},
      {"a question with an image's marker", [](auto& r) { r.set_question(std::string("<|image_pad|>?")); }, kInvalid,
       "question"},
      {"an empty dialogue", [](auto& r) { r.mutable_dialogue(); }, kInvalid, "dialogue.messages"},
      {"a message without a role", [](auto& r) { Converse(r, [](auto& message) { message.clear_role(); }); }, kInvalid,
       "dialogue.messages[0].role"},
      {"a message without parts", [](auto& r) { Converse(r, [](auto&) {}); }, kInvalid, "dialogue.messages[0].parts"},
      {"4097 parts",
       [](auto& r) {
         Converse(r, [](auto& message) {
           for (int i = 0; i < 4097; ++i) message.add_parts()->set_text(std::string("x"));
         });
       },
       kInvalid, "dialogue.messages[0].parts"},
      {"a part without content", [](auto& r) { Converse(r, [](auto& message) { message.add_parts(); }); }, kInvalid,
       "dialogue.messages[0].parts[0]"},
      {"a part that names no image",
       [](auto& r) { Converse(r, [](auto& message) { message.add_parts()->set_image(1); }); }, kInvalid,
       "dialogue.messages[0].parts[0].image"},
      {"a part that names a negative image",
       [](auto& r) { Converse(r, [](auto& message) { message.add_parts()->set_image(-1); }); }, kInvalid,
       "dialogue.messages[0].parts[0].image"},
      {"an image that stands nowhere",
       [](auto& r) { Converse(r, [](auto& message) { message.add_parts()->set_text(std::string("x")); }); }, kInvalid,
       "images[0]"},
      {"an image placed too often",
       [](auto& r) {
         Converse(r, [](auto& message) {
           for (int i = 0; i < 5; ++i) message.add_parts()->set_image(0);
         });
       },
       kInvalid, "dialogue.messages"},
      {"a dialogue with an image's marker",
       [](auto& r) {
         Converse(r, [](auto& message) {
           message.add_parts()->set_image(0);
           message.add_parts()->set_text(std::string("a <|image_pad|> b"));
         });
       },
       kInvalid, "dialogue.messages"},
      {"a message above the limit", [](auto& r) { r.set_question(std::string(5'000'000, 'a')); },
       grpc::StatusCode::RESOURCE_EXHAUSTED, ""},
  };
}

std::vector<Case> TaskCases() {
  return {
      {"max_tokens 0", [](auto& r) { r.set_max_tokens(0); }, kInvalid, "max_tokens"},
      {"temperature negative", [](auto& r) { r.mutable_sampling()->set_temperature(-1); }, kInvalid,
       "sampling.temperature"},
      {"empty stop string", [](auto& r) { r.add_stop(std::string()); }, kInvalid, "stop[0]"},
      {"stop id outside the vocabulary", [](auto& r) { r.add_stop_ids(1000); }, kInvalid, "stop_ids[0]"},
      {"a threshold above 1", [](auto& r) { r.set_abstain_below(1.1); }, kInvalid, "abstain_below"},
      {"a threshold that is no number", [](auto& r) { r.set_abstain_below(std::nan("")); }, kInvalid, "abstain_below"},
      {"no choices", [](auto& r) { SetChoices(r, {}), r.mutable_choices(); }, kInvalid, "choices.texts"},
      {"one choice", [](auto& r) { SetChoices(r, {"a"}); }, kInvalid, "choices.texts"},
      {"1001 choices",
       [](auto& r) {
         std::vector<std::string> texts;
         for (int i = 0; i < 1001; ++i) texts.push_back(fmt::format("{}", i));
         SetChoices(r, texts);
       },
       kInvalid, "choices.texts"},
      {"an empty choice", [](auto& r) { SetChoices(r, {"a", ""}); }, kInvalid, "choices.texts[1]"},
      {"a choice twice", [](auto& r) { SetChoices(r, {"a", "b", "a"}); }, kInvalid, "choices.texts[2]"},
      {"a choice with an image's marker", [](auto& r) { SetChoices(r, {"a", "b <|image_pad|>"}); }, kInvalid,
       "choices.texts[1]"},
      {"a choice with the end of a turn", [](auto& r) { SetChoices(r, {"a<|im_end|>", "b"}); }, kInvalid,
       "choices.texts[0]"},
      {"a special token of a text model",
       [](auto& r) {
         r.clear_images();
         r.set_model(std::string("tiny"));
         SetChoices(r, {"a", "<|im_end|>"});
       },
       kInvalid, "choices.texts[1]"},
      {"a choice above the context", [](auto& r) { SetChoices(r, {"a", std::string(300, 'b')}); }, kInvalid,
       "choices.texts[1]"},
      {"unknown normalization",
       [](auto& r) {
         SetChoices(r, {"a", "b"});
         r.mutable_choices()->set_normalization(static_cast<v1::ChoiceNormalization>(9));
       },
       kInvalid, "choices.normalization"},
      {"choices with max_tokens",
       [](auto& r) {
         SetChoices(r, {"a", "b"});
         r.set_max_tokens(5);
       },
       kInvalid, "max_tokens"},
      {"choices with sampling",
       [](auto& r) {
         SetChoices(r, {"a", "b"});
         r.mutable_sampling();
       },
       kInvalid, "sampling"},
      {"boxes without an image",
       [](auto& r) {
         r.clear_images();
         r.mutable_boxes();
       },
       kInvalid, "images"},
      {"boxes in one of two images",
       [](auto& r) {
         r.add_images()->set_data(StripedPng(8, 8, 1));
         r.mutable_boxes();
       },
       kInvalid, "boxes.image"},
      {"boxes in an image that is not there", [](auto& r) { r.mutable_boxes()->set_image(1); }, kInvalid,
       "boxes.image"},
      {"boxes of a text model",
       [](auto& r) {
         r.clear_images();
         r.set_model(std::string("tiny"));
         r.mutable_boxes();
       },
       grpc::StatusCode::UNIMPLEMENTED, ""},
      {"boxes of a family that sees and writes none",
       [](auto& r) {
         r.set_model(std::string("boxless"));
         r.mutable_boxes();
       },
       grpc::StatusCode::UNIMPLEMENTED, ""},
  };
}

TEST_F(VqaMalformedTest, EveryBadRequestIsRefusedByBothMethodsWithCodeAndField) {
  Setup setup;
  setup.load.cache_tokens = 256;
  setup.image_limits.max_bytes = 65'536;
  setup.image_limits.max_pixels = 1'000'000;
  setup.image_limits.max_images = 4;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(Load("seeing").ok());
  ASSERT_TRUE(Load("boxless").ok());
  for (const auto& cases : {ImageCases(), InputCases(), TaskCases()}) {
    for (const Case& bad : cases) {
      SCOPED_TRACE(bad.name);
      v1::VqaRequest request = AskAbout({StripedPng(24, 16, 1)}, "fine");
      bad.spoil(request);
      const VqaStreamed streamed = StreamVqa(*stub, request);
      EXPECT_EQ(streamed.status.error_code(), bad.code) << streamed.status.error_message();
      EXPECT_EQ(ViolatedField(streamed.status), bad.field) << streamed.status.error_message();
      EXPECT_EQ(streamed.chunks, 0);
      v1::VqaResponse response;
      const grpc::Status once = VqaOnce(*stub, request, &response);
      EXPECT_EQ(once.error_code(), bad.code) << once.error_message();
      EXPECT_EQ(ViolatedField(once), bad.field);
    }
  }
  ExpectIdle("seeing");
  EXPECT_EQ(Stats("seeing").generated_tokens, 0);
  EXPECT_TRUE(StreamVqa(*stub, AskAbout({StripedPng(24, 16, 1)}, "fine")).status.ok());
}

TEST_F(VqaMalformedTest, ADialogueHasNoMoreMessagesThanThePageSays) {
  Start();
  ASSERT_TRUE(Load("seeing").ok());
  v1::VqaRequest request = AskAbout({}, "");
  for (int i = 0; i < 1001; ++i)
    Converse(request, [](auto& message) { message.add_parts()->set_text(std::string("x")); });
  v1::VqaResponse response;
  const grpc::Status status = VqaOnce(*stub, request, &response);
  EXPECT_NE(status.error_message().find("1001 messages, the limit is 1000"), std::string::npos)
      << status.error_message();
}

TEST_F(VqaMalformedTest, UploadImageNamesTheField) {
  Setup setup;
  setup.image_limits.max_bytes = 65'536;
  Start(setup);
  const auto upload = [&](std::string file) {
    v1::UploadImageRequest request;
    request.set_data(std::move(file));
    v1::UploadedImage response;
    grpc::ClientContext call;
    return stub->UploadImage(&call, request, &response);
  };
  for (const std::string& file : {std::string(), std::string("text"), std::string(70'000, 'x'), HugePng()}) {
    const grpc::Status status = upload(file);
    EXPECT_EQ(status.error_code(), kInvalid) << status.error_message();
    EXPECT_EQ(ViolatedField(status), "data");
  }
  EXPECT_TRUE(upload(StripedPng(8, 8, 1)).ok());
}

}  // namespace
}  // namespace gwq::testing
