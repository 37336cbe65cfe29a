#include "client/cli/sampling_flags.h"

#include "client/cli/checks.h"

namespace gwq::cli {
namespace {

template <class Request>
void Set(const SamplingArguments& arguments, Request& request) {
  if (arguments.max_tokens.has_value()) request.set_max_tokens(*arguments.max_tokens);
  if (arguments.temperature.has_value()) request.mutable_sampling()->set_temperature(*arguments.temperature);
  if (arguments.top_k.has_value()) request.mutable_sampling()->set_top_k(*arguments.top_k);
  if (arguments.top_p.has_value()) request.mutable_sampling()->set_top_p(*arguments.top_p);
  if (arguments.seed.has_value()) request.mutable_sampling()->set_seed(*arguments.seed);
  for (const std::string& stop : arguments.stop) request.add_stop(stop);
  for (const int32_t id : arguments.stop_ids) request.add_stop_ids(id);
  request.set_ignore_eos(arguments.ignore_eos);
}

}  // namespace

void AddSamplingFlags(CLI::App& command, SamplingArguments& arguments) {
  command.add_option("--max-tokens,-n", arguments.max_tokens, "largest number of tokens to generate (default: 256)")
      ->check(NotEmpty);
  command
      .add_option("--temperature,-t", arguments.temperature,
                  "randomness of the choice of tokens; 0 is greedy (default: 0)")
      ->check(NotEmpty);
  command
      .add_option("--top-k", arguments.top_k, "choose among this many of the most likely tokens; 0: off (default: 0)")
      ->check(NotEmpty);
  command
      .add_option("--top-p", arguments.top_p,
                  "choose among the most likely tokens that together have this probability (default: 1)")
      ->check(NotEmpty);
  command.add_option("--seed", arguments.seed, "the same seed gives the same answer (default: the service draws one)")
      ->check(WholeNumber);
  command.add_option("--stop", arguments.stop, "end before this text; may be repeated")->allow_extra_args(false);
  command.add_option("--stop-id", arguments.stop_ids, "end at this token id; may be repeated")
      ->check(NotEmpty)
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", arguments.ignore_eos, "continue after the token at which the model would end");
}

void SetSampling(const SamplingArguments& arguments, v1::GenerateRequest& request) { Set(arguments, request); }
void SetSampling(const SamplingArguments& arguments, v1::VqaRequest& request) { Set(arguments, request); }

}  // namespace gwq::cli
