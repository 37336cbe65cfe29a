// Requests about images, and the calls that carry them.
#pragma once

#include <grpcpp/client_context.h>

#include <string>
#include <vector>

#include "tests/server/infer/infer_fixture.h"
#include "tests/support/png_file.h"

namespace gwq::testing {

inline v1::VqaRequest AskAbout(const std::vector<std::string>& files, const std::string& question,
                               int max_tokens = 12) {
  v1::VqaRequest request;
  request.set_model("seeing");
  for (const std::string& file : files) request.add_images()->set_data(file);
  request.set_question(question);
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  return request;
}

inline v1::VqaRequest Choose(const std::vector<std::string>& files, const std::string& question,
                             const std::vector<std::string>& choices) {
  v1::VqaRequest request = AskAbout(files, question);
  request.clear_max_tokens();
  request.clear_ignore_eos();
  for (const std::string& choice : choices) request.mutable_choices()->add_texts(choice);
  return request;
}

struct VqaStreamed {
  grpc::Status status;
  std::string text;
  std::vector<int32_t> token_ids;
  v1::VqaChunk last;
  int chunks = 0;
};

inline VqaStreamed StreamVqa(v1::InferenceService::Stub& stub, const v1::VqaRequest& request) {
  VqaStreamed out;
  grpc::ClientContext call;
  const auto reader = stub.Vqa(&call, request);
  for (v1::VqaChunk chunk; reader->Read(&chunk); ++out.chunks) {
    out.text += chunk.text();
    out.token_ids.insert(out.token_ids.end(), chunk.token_ids().begin(), chunk.token_ids().end());
    out.last = chunk;
  }
  out.status = reader->Finish();
  return out;
}

inline grpc::Status VqaOnce(v1::InferenceService::Stub& stub, const v1::VqaRequest& request,
                            v1::VqaResponse* response) {
  grpc::ClientContext call;
  return stub.VqaOnce(&call, request, response);
}

}  // namespace gwq::testing
