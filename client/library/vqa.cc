#include "client/library/vqa.h"

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "client/library/input_file.h"
#include "client/library/read_stream.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "gwq/v1/inference.grpc.pb.h"

namespace gwq::client {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxImageBytes = uint64_t{256} << 20;
constexpr std::string_view kDigestPrefix = "sha256:";

absl::Status OfLine(int line, std::string_view text) {
  return absl::InvalidArgumentError(fmt::format("line {}: {}", line, text));
}

// A text or a list of texts.
std::optional<std::vector<std::string>> Texts(const json& value) {
  std::vector<std::string> out;
  for (const json& item : value.is_array() ? value : json::array({value})) {
    if (!item.is_string()) return std::nullopt;
    out.push_back(item.get<std::string>());
  }
  return out;
}

absl::Status ReadTask(const json& object, int line, const VqaDefaults& defaults, v1::VqaRequest& request) {
  if (const auto choices = object.find("choices"); choices != object.end()) {
    const auto texts = choices->is_array() ? Texts(*choices) : std::nullopt;
    if (!texts.has_value()) return OfLine(line, "choices is not a list of texts");
    *request.mutable_choices() = defaults.choices;
    for (const std::string& text : *texts) request.mutable_choices()->add_texts(text);
    // What shapes the answers of other lines.
    request.clear_max_tokens();
    request.clear_sampling();
    request.clear_stop();
    request.clear_stop_ids();
    request.clear_ignore_eos();
  }
  if (const auto boxes = object.find("boxes"); boxes != object.end()) {
    if (!boxes->is_boolean()) return OfLine(line, "boxes is neither true nor false");
    if (boxes->get<bool>() && object.contains("choices")) {
      return OfLine(line, "choices and boxes are two questions: ask them in a line each");
    }
    if (boxes->get<bool>()) {
      *request.mutable_boxes() = defaults.boxes;
    } else {
      request.clear_boxes();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<VqaQuestion> ReadQuestion(std::string_view text, int line, const std::filesystem::path& folder,
                                         const VqaDefaults& defaults) {
  VqaQuestion question{.line = line, .id = {}, .images = {}, .request = defaults.request};
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return OfLine(line, "is not a JSON object");
  const auto asked = object.find("question");
  if (asked == object.end() || !asked->is_string()) return OfLine(line, "question is missing or no text");
  question.request.set_question(asked->get<std::string>());
  if (const auto id = object.find("id"); id != object.end()) {
    question.id = id->is_string() ? id->get<std::string>() : id->dump();
  }
  for (const char* field : {"image", "images"}) {
    const auto images = object.find(field);
    if (images == object.end()) continue;
    const auto paths = Texts(*images);
    if (!paths.has_value()) return OfLine(line, fmt::format("{} is not a path or list of paths", field));
    for (const std::string& path : *paths) {
      question.images.push_back(IsDigest(path) ? path : (folder / path).string());
    }
  }
  GWQ_RETURN_IF_ERROR(ReadTask(object, line, defaults, question.request));
  return question;
}

absl::StatusOr<v1::VqaResponse> AskOne(const Connection& infer, const VqaQuestion& question, Canceller& canceller) {
  v1::VqaRequest request = question.request;
  for (const std::string& image : question.images) {
    GWQ_ASSIGN_OR_RETURN(*request.add_images(), ImageOf(image));
  }
  return VqaOnce(infer, request, canceller);
}

// Answers that came before their turn. Thread-safe.
class InOrder {
 public:
  using Answer = absl::StatusOr<v1::VqaResponse>;
  InOrder(const std::vector<VqaQuestion>& questions, ProgressSink& progress,
          const std::function<void(const VqaQuestion&, const Answer&)>& answered)
      : questions_(questions), progress_(progress), answered_(answered) {}

  void Put(size_t index, Answer answer) {
    MutexLock lock(mutex_);
    early_.emplace(index, std::move(answer));
    progress_.Update("questions", ++done_, questions_.size(), "questions");
    for (auto first = early_.find(next_); first != early_.end(); first = early_.find(++next_)) {
      answered_(questions_[next_], first->second);
      early_.erase(first);
    }
  }

 private:
  const std::vector<VqaQuestion>& questions_;
  ProgressSink& progress_;
  const std::function<void(const VqaQuestion&, const Answer&)>& answered_;
  Mutex mutex_;
  std::map<size_t, Answer> early_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<std::string> ReadImageFile(const std::string& path) { return ReadInputFile(path, kMaxImageBytes); }

bool IsDigest(const std::string& path_or_digest) { return path_or_digest.starts_with(kDigestPrefix); }

absl::StatusOr<v1::ImageInput> ImageOf(const std::string& path_or_digest) {
  v1::ImageInput image;
  if (IsDigest(path_or_digest)) {
    image.set_sha256(path_or_digest.substr(kDigestPrefix.size()));
    return image;
  }
  GWQ_ASSIGN_OR_RETURN(*image.mutable_data(), ReadImageFile(path_or_digest));
  return image;
}

absl::StatusOr<v1::VqaChunk> Vqa(const Connection& infer, const v1::VqaRequest& request, Canceller& canceller,
                                 const std::function<void(const v1::VqaChunk&)>& chunk) {
  const auto stub = v1::InferenceService::NewStub(infer.channel());
  const auto open = [&](grpc::ClientContext* context, const v1::VqaRequest& asked) {
    return stub->Vqa(context, asked);
  };
  GWQ_ASSIGN_OR_RETURN(v1::VqaChunk last, ReadStream(infer, request, canceller, open, chunk));
  if (!last.has_result()) return absl::DataLossError("the answer ended without a result");
  return last;
}

absl::StatusOr<v1::VqaResponse> VqaOnce(const Connection& infer, const v1::VqaRequest& request, Canceller& canceller) {
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  const auto stub = v1::InferenceService::NewStub(infer.channel());
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(infer.PrepareStream(context));
  const Canceller::Attachment attachment(canceller, context);
  v1::VqaResponse response;
  const grpc::Status status = stub->VqaOnce(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, context, infer);
  return response;
}

absl::StatusOr<std::vector<VqaQuestion>> ReadQuestions(std::string_view lines, const std::string& folder,
                                                       const VqaDefaults& defaults) {
  std::vector<VqaQuestion> questions;
  for (int line = 1; !lines.empty(); ++line) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view text = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    GWQ_ASSIGN_OR_RETURN(VqaQuestion question, ReadQuestion(text, line, folder, defaults));
    questions.push_back(std::move(question));
  }
  return questions;
}

absl::Status AskAll(const Connection& infer, const std::vector<VqaQuestion>& questions, int parallel,
                    Canceller& canceller, ProgressSink& progress,
                    const std::function<void(const VqaQuestion&, const absl::StatusOr<v1::VqaResponse>&)>& answered) {
  InOrder answers(questions, progress, answered);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < questions.size() && !canceller.cancelled(); i = next++) {
      answers.Put(i, AskOne(infer, questions[i], canceller));
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < parallel; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (canceller.cancelled()) return absl::CancelledError("interrupted");
  return absl::OkStatus();
}

}  // namespace gwq::client
