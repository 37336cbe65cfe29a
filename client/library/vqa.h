// Asking gwq-infer about images.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "client/library/connection.h"
#include "client/library/progress_sink.h"
#include "gwq/v1/inference.pb.h"

namespace gwq::client {

// A file's bytes for ImageInput::data. NOT_FOUND; INVALID_ARGUMENT for one above 256 MiB, which no server takes.
[[nodiscard]] absl::StatusOr<std::string> ReadImageFile(const std::string& path);

// An image for a request: "sha256:HEX" names one that UploadImage was given, anything else is a file to read.
[[nodiscard]] absl::StatusOr<v1::ImageInput> ImageOf(const std::string& path_or_digest);
[[nodiscard]] bool IsDigest(const std::string& path_or_digest);

// Streams an answer; `chunk` is called for each part in order. Returns the last chunk, which carries the typed result.
// CANCELLED once `canceller` says so.
[[nodiscard]] absl::StatusOr<v1::VqaChunk> Vqa(const Connection& infer, const v1::VqaRequest& request,
                                               Canceller& canceller,
                                               const std::function<void(const v1::VqaChunk&)>& chunk);
// The same in one message.
[[nodiscard]] absl::StatusOr<v1::VqaResponse> VqaOnce(const Connection& infer, const v1::VqaRequest& request,
                                                      Canceller& canceller);

// One question of a batch.
struct VqaQuestion {
  int line = 0;                     // of the file, from 1
  std::string id;                   // as the file has it; may be empty
  std::vector<std::string> images;  // for ImageOf
  v1::VqaRequest request;           // without images
};

// What the lines of a batch leave out.
struct VqaDefaults {
  v1::VqaRequest request;  // each question begins as a copy
  v1::ChoiceSet choices;   // how a line's own choices are scored; without texts
  v1::BoxTask boxes;       // which image a line's own boxes are in
};

// Reads lines of JSON: {"image": PATH or "images": [PATH, ...], "question": TEXT, "id": any, "choices": [TEXT, ...],
// "boxes": true or false}. Empty lines are left out. Paths are relative to `folder`. A line's choices or boxes replace
// the task of `defaults.request`; "boxes": false makes free text of a question that would be asked for boxes.
// INVALID_ARGUMENT naming the line.
[[nodiscard]] absl::StatusOr<std::vector<VqaQuestion>> ReadQuestions(std::string_view lines, const std::string& folder,
                                                                     const VqaDefaults& defaults);

// Asks all of them, `parallel` at a time. `answered` is called once for each, in their order, by one thread at a time.
// CANCELLED, and fewer answers, once `canceller` says so; errors of single questions go to `answered`.
[[nodiscard]] absl::Status AskAll(
    const Connection& infer, const std::vector<VqaQuestion>& questions, int parallel, Canceller& canceller,
    ProgressSink& progress,
    const std::function<void(const VqaQuestion&, const absl::StatusOr<v1::VqaResponse>&)>& answered);

}  // namespace gwq::client
