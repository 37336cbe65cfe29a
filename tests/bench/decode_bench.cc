// Tokens a second of a whole model on CpuBackend: prefill of a prompt, then decoding one token at a time, each step
// reading the logits. Weights are random codes of the given width in the shapes of the given config.json, which cost
// what trained ones cost; embedding and head have 8 bits. Prints one JSON object a repetition.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/status.h"
#include "core/models/model.h"
#include "tests/bench/random_packed.h"

namespace gwq::bench {
namespace {

struct Options {
  std::string config;
  std::string isa;
  int bits = 4;
  int64_t group_size = 64;
  double outliers = 0.01;
  int threads = 2;
  int64_t prompt = 256;
  int64_t generate = 48;
  int64_t chunk = 256;
  int repetitions = 1;
};

class RandomLoader final : public WeightLoader {
 public:
  RandomLoader(Backend& backend, const Options& options) : backend_(backend), options_(options) {}

  absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
    if (auto alive = loaded_[spec.name].lock()) return alive;
    GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Weight> weight, Make(spec));
    loaded_[spec.name] = weight;
    return weight;
  }

 private:
  absl::StatusOr<std::unique_ptr<Weight>> Make(const TensorSpec& spec) {
    if (spec.shape.size() == 1) {
      const std::vector<float> ones(static_cast<size_t>(spec.shape[0]), 1.0F);
      return backend_.LoadDense({DType::kF32, spec.shape, std::as_bytes(std::span(ones))});
    }
    const bool linear = spec.kind == TensorKind::kLinear;
    const std::vector<std::byte> blob = RandomPacked(spec.shape[0], spec.shape[1], linear ? options_.bits : 8,
                                                     options_.group_size, linear ? options_.outliers : 0.0);
    GWQ_ASSIGN_OR_RETURN(const PackedView view, PackedView::Open(blob));
    return backend_.LoadPacked(view);
  }

  Backend& backend_;
  const Options& options_;
  std::map<std::string, std::weak_ptr<const Weight>> loaded_;
};

// One sequence that grows.
class Runner {
 public:
  Runner(Backend& backend, const LoadedModel& model, KvCache& cache)
      : backend_(backend), model_(model), cache_(cache), blocks_(static_cast<size_t>(cache.shape().blocks)) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
    logits_.resize(static_cast<size_t>(model.model().config().vocab_size));
  }

  absl::Status Run(int64_t rows) {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < rows; ++i) {
      positions.push_back(static_cast<int32_t>(context_ + i));
      tokens.push_back(static_cast<int32_t>((context_ + i) * 7919 % model_.model().config().vocab_size));
    }
    const SequenceRows sequence{0, rows, context_, blocks_};
    const int32_t last = static_cast<int32_t>(rows - 1);
    Batch batch;
    batch.rows = rows;
    batch.tokens = tokens;
    batch.positions = positions;
    batch.sequences = {&sequence, 1};
    batch.output_rows = {&last, 1};
    context_ += rows;
    return model_.Forward(backend_, batch, &cache_, logits_);
  }

 private:
  Backend& backend_;
  const LoadedModel& model_;
  KvCache& cache_;
  std::vector<int32_t> blocks_;
  std::vector<float> logits_;
  int64_t context_ = 0;
};

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

absl::Status Measure(Backend& backend, const LoadedModel& model, const Options& options) {
  const ModelConfig& config = model.model().config();
  const int64_t tokens = options.prompt + options.generate;
  GWQ_ASSIGN_OR_RETURN(const auto cache, backend.CreateKvCache({config.blocks, config.attention.kv_heads,
                                                                config.attention.head_dim, 16, (tokens + 15) / 16}));
  Runner warm_up(backend, model, *cache);
  GWQ_RETURN_IF_ERROR(warm_up.Run(std::min<int64_t>(options.prompt, 64)));
  Runner runner(backend, model, *cache);
  auto start = std::chrono::steady_clock::now();
  for (int64_t done = 0; done < options.prompt; done += options.chunk) {
    GWQ_RETURN_IF_ERROR(runner.Run(std::min(options.chunk, options.prompt - done)));
  }
  const double prefill = Seconds(start);
  start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < options.generate; ++i) GWQ_RETURN_IF_ERROR(runner.Run(1));
  const double decode = Seconds(start);
  fmt::print(R"({{"prefill_tokens_per_second":{:.1f},"decode_tokens_per_second":{:.1f},"weight_bytes":{}}})"
             "\n",
             static_cast<double>(options.prompt) / prefill, static_cast<double>(options.generate) / decode,
             model.weight_bytes());
  std::fflush(stdout);
  return absl::OkStatus();
}

absl::Status Main(const Options& options) {
  std::ifstream file(options.config);
  const std::string json{std::istreambuf_iterator<char>(file), {}};
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(json));
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model, CreateModel(config));
  CpuBackendOptions backend_options{options.threads, {}};
  if (!options.isa.empty()) {
    GWQ_ASSIGN_OR_RETURN(backend_options.isa, ParseIsaLevel(options.isa));
  }
  GWQ_ASSIGN_OR_RETURN(const auto backend, CreateCpuBackend(backend_options));
  RandomLoader loader(*backend, options);
  GWQ_ASSIGN_OR_RETURN(const auto loaded, LoadedModel::Load(model, loader, nullptr));
  for (int i = 0; i < options.repetitions; ++i) GWQ_RETURN_IF_ERROR(Measure(*backend, *loaded, options));
  return absl::OkStatus();
}

}  // namespace
}  // namespace gwq::bench

int main(int argc, char** argv) {
  gwq::bench::Options options;
  CLI::App app("tokens a second of a model with random packed weights");
  app.add_option("--config", options.config, "config.json that gives the shapes")->required();
  app.add_option("--bits", options.bits, "2 to 8, of the linear layers");
  app.add_option("--group", options.group_size, "columns a group");
  app.add_option("--outliers", options.outliers, "share of the weights kept in FP16");
  app.add_option("--threads", options.threads, "threads");
  app.add_option("--isa", options.isa, "scalar, avx2 or avx512; the best one where left out");
  app.add_option("--prompt", options.prompt, "tokens of the prompt");
  app.add_option("--generate", options.generate, "tokens to decode after it");
  app.add_option("--chunk", options.chunk, "prompt tokens a pass");
  app.add_option("--repetitions", options.repetitions, "times to measure");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = gwq::bench::Main(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "decode_bench: {}\n", gwq::MessageOf(status));
  return 1;
}
