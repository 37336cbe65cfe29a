// How an answer is generated and where it ends, as flags of `gwq generate` and `gwq vqa`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gwq/v1/inference.pb.h"

namespace gwq::cli {

struct SamplingArguments {
  std::optional<int32_t> max_tokens;
  std::optional<double> temperature;
  std::optional<int32_t> top_k;
  std::optional<double> top_p;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_ids;
  bool ignore_eos = false;
};

// `arguments` outlives the app's parse.
void AddSamplingFlags(CLI::App& command, SamplingArguments& arguments);
// Sets what was given and nothing else: the service has its defaults, and refuses these fields with choices.
void SetSampling(const SamplingArguments& arguments, v1::GenerateRequest& request);
void SetSampling(const SamplingArguments& arguments, v1::VqaRequest& request);

}  // namespace gwq::cli
